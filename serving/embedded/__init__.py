"""A model server in Python, for machines without TensorFlow Serving."""
