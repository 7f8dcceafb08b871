"""Where the schema of the ratings is."""

from __future__ import annotations

from pathlib import Path
from typing import Final

SCHEMA_FILE: Final = Path(__file__).with_name("schema.pbtxt")
