"""TensorFlow Serving's REST API in front of a gRPC model server."""
