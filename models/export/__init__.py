"""The export of a trained model: its signatures and the files beside them."""
