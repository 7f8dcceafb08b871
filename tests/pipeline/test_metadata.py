from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from pipeline import metadata
from pipeline.config.errors import UserError


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "metadata.db"
    with sqlite3.connect(path) as connected:
        connected.execute("CREATE TABLE artifact (uri TEXT)")
        connected.executemany("INSERT INTO artifact VALUES (?)", [("x" * 500,)] * 500)
    return path


def test_a_sound_database_and_none_are_fine(database: Path) -> None:
    metadata.check_readable(database)
    metadata.check_readable(database.with_name("absent.db"))
    assert not database.with_name("absent.db").exists()


@pytest.mark.parametrize("damage", ["half", "garbage", "overwritten"])
def test_a_damaged_database_is_one_line_with_a_remedy(database: Path, damage: str) -> None:
    content = database.read_bytes()
    half = len(content) // 2
    database.write_bytes(
        {
            "half": content[:half],
            "garbage": b"garbage" * 1000,
            "overwritten": content[:4096] + b"\xff" * (len(content) - 4096),
        }[damage]
    )
    with pytest.raises(UserError, match=f"^{database}: damaged .*move it away") as error:
        metadata.check_readable(database)
    assert "\n" not in str(error.value)
