"""Errors whose messages address the person who started the training."""


class TrainingError(RuntimeError):
    """Training ended early."""


class TrainingDivergedError(TrainingError):
    """The loss or a weight is no longer finite."""


class TrainingStoppedError(TrainingError):
    """The process received SIGTERM during training."""


class ClusterError(TrainingError):
    """TF_CONFIG is wrong, or a process of the cluster was lost."""
