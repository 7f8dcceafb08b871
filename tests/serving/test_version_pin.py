from pathlib import Path

import pytest

from components import push_folder
from serving.errors import ServingError
from serving.version_pin import PIN_FILE, Change, Pin, fixed_version, read_pin, served_version
from tests.serving.pushed_versions import push


def pin(folder: Path, version: int | None) -> None:
    (folder / PIN_FILE).write_text(Pin(version=version).model_dump_json())


def test_what_was_written_is_read(tmp_path: Path) -> None:
    made = Change(
        at="2026-11-28T22:00:00+00:00",
        by="ann@host",
        action="rollback",
        version=3,
        replaced=12,
        reason="complaints",
    )
    pinned = Pin(version=3, rejected={12: "ab", 13: ""}, changes=(made,))
    (tmp_path / PIN_FILE).write_text(pinned.model_dump_json())
    assert read_pin(tmp_path) == pinned


def test_without_a_pin_the_newest_version_is_served(tmp_path: Path) -> None:
    push(tmp_path, 3, 12)
    assert read_pin(tmp_path) == Pin()
    assert served_version(tmp_path) == tmp_path / "12"
    assert fixed_version(tmp_path) is None


@pytest.mark.parametrize(
    ("pinned", "served"), [(12, 12), (5, 5), (7, 5), (3, 3), (2, None), (99, 12)]
)
def test_the_pinned_version_or_the_one_before_is_served(
    tmp_path: Path, pinned: int, served: int | None
) -> None:
    push(tmp_path, 3, 5, 12)
    pin(tmp_path, pinned)
    assert served_version(tmp_path) == (served and tmp_path / str(served))
    assert fixed_version(tmp_path) == (served if served != 12 else None)


@pytest.mark.parametrize("stray", [13, 10**18, 2**63 - 1])
def test_a_stray_folder_of_a_higher_number_does_not_block_tensorflow_serving(
    tmp_path: Path, stray: int
) -> None:
    push(tmp_path, 3, 12)
    (tmp_path / str(stray)).mkdir()
    assert fixed_version(tmp_path) == 12


def test_a_number_that_tensorflow_serving_cannot_read_does_not_matter(tmp_path: Path) -> None:
    push(tmp_path, 3, 12)
    (tmp_path / str(2**63)).mkdir()
    assert fixed_version(tmp_path) is None


@pytest.mark.parametrize(
    "content", [b"", b'{"version": 3', b"[]", b'{"version": "x"}', b'{"versions": 3}', b"\xff"]
)
def test_a_damaged_pin_is_one_line_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / PIN_FILE).write_bytes(content)
    with pytest.raises(ServingError, match=f"^{tmp_path / PIN_FILE}: ") as error:
        read_pin(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"{", b"half", b"\xff\xfe", b"[]", b'{"version": "x"}'])
def test_a_damaged_pin_is_one_line_with_a_remedy(tmp_path: Path, content: bytes) -> None:
    push(tmp_path, 3)
    (tmp_path / PIN_FILE).write_bytes(content)
    # Servers and commands read it on this machine, and steps wherever it is.
    for read in (read_pin, lambda folder: push_folder.read_pin(str(folder))):
        with pytest.raises(ServingError) as caught:
            read(tmp_path)
        (line,) = str(caught.value).splitlines()
        assert line.startswith(f"{tmp_path / PIN_FILE}: damaged (")
        assert "remove it to serve the newest version" in line
