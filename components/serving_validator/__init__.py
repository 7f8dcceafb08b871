"""Asks a model server with the new model inside, before the model is pushed."""
