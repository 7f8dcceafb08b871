"""Errors whose message is meant for the person who started the training."""


class TrainingDivergedError(RuntimeError):
    """The loss stopped being finite."""


class TrainingStoppedError(RuntimeError):
    """The process was told to terminate while it trained."""
