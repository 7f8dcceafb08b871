"""What checks the image, without Docker; it is not in the image, nor in the wheel."""
