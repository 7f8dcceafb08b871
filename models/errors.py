"""Errors whose message is meant for the person who started the training."""


class TrainingDivergedError(RuntimeError):
    """The loss stopped being finite."""
