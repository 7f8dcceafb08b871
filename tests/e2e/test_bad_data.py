"""Files that must stop a run with a clear line, and push nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.local_runner import StepFailedError
from tests.e2e.pipeline_runs import SMALL, Story, run


def edit(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")


def ratings_of_99(folder: Path) -> None:
    def change(lines: list[str]) -> list[str]:
        spoilt = [",".join([*line.split(",")[:2], "99", "0"]) for line in lines[1:101]]
        return [lines[0], *spoilt, *lines[101:]]

    edit(folder / "ratings.csv", change)


def dropped_column(folder: Path) -> None:
    def change(lines: list[str]) -> list[str]:
        fields = [line.split(",") for line in lines]
        return [",".join([user, movie, time]) for user, movie, _, time in fields]

    edit(folder / "ratings.csv", change)


def truncated_line(folder: Path) -> None:
    path = folder / "ratings.csv"
    path.write_bytes(path.read_bytes().rstrip().rpartition(b",")[0])


def empty_file(folder: Path) -> None:
    (folder / "ratings.csv").write_bytes(b"")


def header_only(folder: Path) -> None:
    edit(folder / "ratings.csv", lambda lines: lines[:1])


def binary_file(folder: Path) -> None:
    (folder / "ratings.csv").write_bytes(bytes(range(256)) * 100)


def latin_1_bytes(folder: Path) -> None:
    path = folder / "movies.csv"
    path.write_bytes(path.read_bytes() + "5000,Amélie (2001),Comedy\n".encode("latin-1"))


def movies_of_another_edition(folder: Path) -> None:
    edit(folder / "movies.csv", lambda lines: [lines[0], *(f"9{line}" for line in lines[1:])])


# pyarrow cannot hand a line that is no text to the handler of broken lines, and says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("poison", "step", "parts"),
    [
        (
            ratings_of_99,
            "MovieLensExampleGen",
            ["ratings go from 1 to 99", "98.0% are from 0.5 to 5", "data.rating_range"],
        ),
        (dropped_column, "MovieLensExampleGen", ["ratings.csv: no column rating"]),
        (truncated_line, "MovieLensExampleGen", ["ratings.csv: line 5001 has 3 fields"]),
        (empty_file, "MovieLensExampleGen", ["ratings.csv: the file is empty"]),
        (header_only, "MovieLensExampleGen", ["ratings.csv: the file has no rows"]),
        (binary_file, "MovieLensExampleGen", ["ratings.csv: not a text file"]),
        (latin_1_bytes, "MovieLensExampleGen", ["movies.csv: not UTF-8"]),
        (
            movies_of_another_edition,
            "MovieLensExampleGen",
            ["only 3.9% of the 5000 ratings are of a movie in the file of movies"],
        ),
    ],
)
def test_a_poisoned_file_stops_the_run(
    cut: Path, tmp_path: Path, poison: Callable[[Path], None], step: str, parts: list[str]
) -> None:
    data, workspace = tmp_path / "data", tmp_path / "workspace"
    shutil.copytree(cut, data)
    poison(data)
    with pytest.raises(StepFailedError) as caught:
        run(workspace, data, *SMALL)
    message = str(caught.value)
    assert message.startswith(f"{step}: ")
    for part in parts:
        assert part in message
    assert "\n" not in message
    assert not (workspace / "serving").exists()
    assert not list(workspace.glob("runs/*/summary.json"))


def test_an_unforeseen_error_names_its_traceback(cut: Path, tmp_path: Path) -> None:
    no_secret = 'beam.component_arguments={MovieLensExampleGen=["--gbek=type:none"]}'
    with pytest.raises(StepFailedError, match=r"MovieLensExampleGen: \w+: .*log\.txt") as caught:
        run(tmp_path, cut, *SMALL, no_secret)
    assert "\n" not in str(caught.value)
    (log,) = tmp_path.glob("runs/*/log.txt")
    assert "Traceback (most recent call last)" in log.read_text()


@pytest.mark.slow
def test_a_few_bad_rows_are_set_aside_with_their_reason(cut: Path, tmp_path: Path) -> None:
    """The rows are in the artifact also when a later step stops the run."""
    data, workspace = tmp_path / "data", tmp_path / "workspace"
    shutil.copytree(cut, data)
    edit(data / "ratings.csv", lambda lines: [*lines, "x,,3,1", "x,1,99,1", lines[1]])
    with pytest.raises(StepFailedError, match="the loss was"):
        run(workspace, data, *SMALL, "training.learning_rate=100000")
    (rejected,) = workspace.glob("artifacts/MovieLensExampleGen/examples/*/rejected.csv")
    lines = rejected.read_text().splitlines()
    assert lines[0].replace('"', "") == "row,user_id,movie_id,rating,timestamp,reason"
    assert [line.split(",")[-1].strip('"') for line in lines[1:]] == [
        "duplicate of a newer rating",
        "missing id",
        "rating out of range",
    ]


@pytest.mark.slow
def test_a_diverging_loss_stops_the_run_and_keeps_what_is_served(story: Story) -> None:
    served = story.workspace / "serving" / "movierec"
    before = sorted(served.iterdir())
    with pytest.raises(StepFailedError) as caught:
        run(story.workspace, story.data, *SMALL, "training.learning_rate=100000")
    message = str(caught.value)
    assert message.startswith("Trainer: the loss was ")
    assert "lower training.learning_rate" in message
    assert sorted(served.iterdir()) == before
