"""Errors whose message is meant for the person who started the run."""


class DataError(ValueError):
    """The data cannot be used; the message says what was found and what was expected."""
