"""Errors whose message is meant for the person who uses a model."""


class ServingError(ValueError):
    """A model cannot be served or asked; the message says what to do."""


class UnreadableModelError(ServingError):
    """A folder holds no SavedModel of ours that can be loaded."""
