"""Errors that the command line shows as one line."""


class UserError(Exception):
    """Something that the person at the keyboard can put right; the message says how."""


class RunInterruptedError(Exception):
    """A run was told to stop; the message says what becomes of what it has done."""
