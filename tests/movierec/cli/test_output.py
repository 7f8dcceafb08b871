"""What is printed reaches the terminal as text."""

from __future__ import annotations

import json

import pytest

from movierec.cli import output


def test_json_commands_no_terminal_and_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """Of the control characters, JSON itself escapes the first 32 alone."""
    said = {"title": "Am\u00e9lie \x9b2J \x7f \u202e \x1b \n\t", "year": 2001}
    output.print_json_text(json.dumps(said, indent=2, ensure_ascii=False))
    printed = capsys.readouterr().out
    assert json.loads(printed) == said
    assert "Am\u00e9lie" in printed
    assert all(character.isprintable() or character == "\n" for character in printed)
