"""Errors whose message is meant for the person who uses a model."""


class UnreadableModelError(ValueError):
    """A folder holds no SavedModel of ours that can be loaded."""
