"""Errors whose message is meant for the person who started the training."""


class TrainingError(RuntimeError):
    """A training that ended before its time."""


class TrainingDivergedError(TrainingError):
    """The loss, or a weight, stopped being finite."""


class TrainingStoppedError(TrainingError):
    """The process was told to terminate while it trained."""


class ClusterError(TrainingError):
    """The processes that are to train together are described wrongly, or one was lost."""
