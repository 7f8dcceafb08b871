"""Backtests: how models trained in past weeks would have fared in the week after."""
