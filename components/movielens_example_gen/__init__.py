"""Brings MovieLens ratings into a pipeline, cleaned, joined and split."""
