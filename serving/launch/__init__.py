"""Starts a model server, TensorFlow Serving's or the embedded one, and ends it."""
