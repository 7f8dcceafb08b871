"""What the commands end with."""

from typing import Final

FAILED: Final = 1
NOT_BLESSED: Final = 2
INTERRUPTED: Final = 130
