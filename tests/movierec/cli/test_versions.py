"""`versions`, `rollback` and `promote` on versions that a server can load."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from serving.version_pin import read_pin
from tests.components import answering_models
from tests.movierec.cli.command import assert_refused, movierec


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return answering_models.save(tmp_path_factory.mktemp("model") / "10")


@pytest.fixture
def workspace(model: Path, tmp_path: Path) -> Path:
    for number in (10, 11, 12):
        shutil.copytree(model, tmp_path / "serving" / "movierec" / str(number))
    return tmp_path


def served(workspace: Path) -> list[int]:
    result = movierec("versions", "--json", "--workspace", str(workspace))
    assert (result.returncode, result.stderr) == (0, "")
    return [entry["version"] for entry in json.loads(result.stdout) if entry["served"]]


@pytest.mark.slow
def test_back_and_forth(workspace: Path) -> None:
    assert served(workspace) == [12]
    back = movierec("rollback", "--reason", "complaints\x1b[2J", "--workspace", str(workspace))
    assert (back.returncode, back.stderr) == (0, "")
    assert "version 11 is served instead of 12" in back.stdout
    assert served(workspace) == [11]
    table = movierec("versions", "--workspace", str(workspace)).stdout
    assert "complaints" in table
    assert "\x1b" not in table
    forth = movierec("promote", "12", "--workspace", str(workspace))
    assert "version 12 is served instead of 11" in forth.stdout
    assert served(workspace) == [12]
    # The version that was rolled back from is not gone back to.
    movierec("rollback", "10", "--workspace", str(workspace))
    changes = read_pin(workspace / "serving" / "movierec").changes
    assert [(made.action, made.version) for made in changes] == [
        ("rollback", 11),
        ("promote", 12),
        ("rollback", 10),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rollback", "12"], "movierec promote 12"),
        (["rollback", "9"], "version 9: "),
        (["promote", "13"], "version 13: "),
        (["promote"], "VERSION"),
        (["rollback", "--model-name", "other"], "no model has been pushed"),
        (["versions", "--model-name", "other"], "no model has been pushed"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(
    workspace: Path, arguments: list[str], message: str
) -> None:
    assert_refused(movierec(*arguments, "--workspace", str(workspace)), message)
    assert not (workspace / "serving" / "movierec" / "pin.json").exists()


def test_a_version_that_does_not_load_is_not_served(workspace: Path) -> None:
    (workspace / "serving" / "movierec" / "11" / "saved_model.pb").write_bytes(b"damaged")
    result = movierec("rollback", "--workspace", str(workspace))
    assert_refused(result, str(workspace / "serving" / "movierec" / "11"))
    assert served(workspace) == [12]


def test_a_damaged_pin_is_one_line(workspace: Path) -> None:
    pin = workspace / "serving" / "movierec" / "pin.json"
    pin.write_text("half")
    for command in (["versions"], ["recommend", "--user", "1"], ["rollback"]):
        assert_refused(movierec(*command, "--workspace", str(workspace)), f"{pin}: damaged")
