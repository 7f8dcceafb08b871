"""Brings MovieLens ratings into a pipeline: cleaned, joined with the catalogue, and split."""
