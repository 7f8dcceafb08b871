"""Transform: TFX's step, which reads and writes whole files, with Beam or without."""
