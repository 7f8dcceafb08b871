"""Holds the statistics against the schema, and stops the run where they differ."""
