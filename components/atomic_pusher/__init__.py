"""Puts a blessed model where the model server watches, whole or not at all."""
