"""Tries a new model in a model server, over gRPC, before the model is pushed."""
