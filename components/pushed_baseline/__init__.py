"""Finds the baseline of the regression gate among the pushed models."""
