"""Finds the model that a new one has to be compared with."""
