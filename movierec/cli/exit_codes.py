"""The exit codes of the commands, besides 0 for success."""

from typing import Final

FAILED: Final = 1
"""The command failed; one line on standard error says why."""

NOT_PUSHED: Final = 2
"""The run reached its end, but its model was refused and not pushed."""

SKEWED: Final = 2
"""What a server is asked is too far from what its model was trained on."""

INTERRUPTED: Final = 130
"""Ctrl-C or a signal ended the command."""
