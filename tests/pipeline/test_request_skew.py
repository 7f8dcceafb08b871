from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from movierec.cli import exit_codes
from pipeline import request_skew
from pipeline.config.errors import UserError
from pipeline.request_skew import ACTIVITY, DECILE, GENRES, MIN_VALUES
from tests.models.export import exported_models
from tests.movierec.cli.command import movierec

VERSION = 7


@pytest.fixture(scope="module")
def workspace(
    exported_model: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A workspace with a pushed model of six users and five movies."""
    folder = tmp_path_factory.mktemp("workspace")
    version = folder / "serving" / "movierec" / str(VERSION)
    shutil.copytree(exported_model("biased_mf"), version)
    return folder


def write_log(folder: Path, users: dict[str, int], movies: dict[str, int]) -> Path:
    """A log with a line for each user and each movie asked for, as often as said."""
    folder.mkdir()
    common = {"time": "2026-11-01T10:00:00+00:00", "version": VERSION, "rows": 1, "seconds": 0.1}
    genres = dict(zip("13579", exported_models.GENRES, strict=True))
    lines = [
        *(
            common | {"signature": "recommend", "users": [{"activity": name}], "movies": []}
            for name, count in users.items()
            for _ in range(count)
        ),
        *(
            common
            | {
                "signature": "similar",
                "users": [],
                "movies": [{"decile": name, "genres": genres.get(name, [])}],
            }
            for name, count in movies.items()
            for _ in range(count)
        ),
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "requests-00000001.jsonl").write_text(text)
    return folder


# As in training: the users once each, by `exported_models.COUNTS`.
AS_TRAINED = {"1-20": 200, "21-50": 400, "51-100": 200, "101-200": 200, "201+": 200}


def popularity_by_decile() -> Counter[str]:
    counts = exported_models.statistics().movie_rating_count
    ranked = sorted(range(len(counts)), key=lambda movie: counts[movie])
    return Counter({str(1 + 2 * place): int(counts[m]) for place, m in enumerate(ranked)})


def version_in(workspace: Path) -> Path:
    return workspace / "serving" / "movierec" / str(VERSION)


def test_requests_as_in_training_are_not_skewed(workspace: Path, tmp_path: Path) -> None:
    deciles = {name: 1000 * count for name, count in popularity_by_decile().items()}
    log = write_log(tmp_path / "log", AS_TRAINED, {n: c // 10 for n, c in deciles.items()})
    report = request_skew.compare(version_in(workspace), log, max_distance=0.01)
    moved = {move.name: move.moved for move in report.moves}
    assert moved[ACTIVITY] == pytest.approx(0, abs=1e-6)
    assert moved[DECILE] == pytest.approx(0, abs=1e-6)
    assert report.version == VERSION
    assert report.signatures["recommend"] == sum(AS_TRAINED.values())


def test_the_distance_is_the_largest_difference_of_a_share(workspace: Path, tmp_path: Path) -> None:
    asked = AS_TRAINED | {"unknown": 400}
    log = write_log(tmp_path / "log", asked, {"9": MIN_VALUES})
    report = request_skew.compare(version_in(workspace), log, max_distance=0.1)
    moved = {move.name: move for move in report.moves}
    # Six users, of whom a request of four is none.
    assert moved[ACTIVITY].moved == pytest.approx(0.25, abs=1e-6)
    assert moved[ACTIVITY].now == "unknown 25.0%"
    trained = popularity_by_decile()
    expected = max(abs((name == "9") - count / trained.total()) for name, count in trained.items())
    assert moved[DECILE].moved == pytest.approx(expected, abs=1e-6)
    assert report.skewed


def test_few_values_are_not_compared(workspace: Path, tmp_path: Path) -> None:
    log = write_log(tmp_path / "log", {"unknown": MIN_VALUES - 1}, {})
    report = request_skew.compare(version_in(workspace), log, max_distance=0.1)
    assert not report.moves
    assert report.too_few == {ACTIVITY: MIN_VALUES - 1, DECILE: 0, GENRES: 0}
    assert not report.skewed


def test_lines_that_cannot_be_read_and_other_versions(workspace: Path, tmp_path: Path) -> None:
    log = write_log(tmp_path / "log", {"1-20": 3}, {})
    other = {"time": "", "version": 6, "signature": "recommend", "users": [], "movies": []}
    with (log / "requests-00000001.jsonl").open("a") as file:
        file.write(json.dumps(other) + '\n{"version": 7, "ti\nnull\n')
    report = request_skew.compare(version_in(workspace), log, max_distance=0.1)
    assert (report.requests, report.other_requests, report.damaged_lines) == (3, 1, 2)


def test_a_log_without_the_version(workspace: Path, tmp_path: Path) -> None:
    log = write_log(tmp_path / "log", {"1-20": 1}, {})
    text = (log / "requests-00000001.jsonl").read_text()
    (log / "requests-00000001.jsonl").write_text(text.replace('"version": 7', '"version": 5'))
    with pytest.raises(UserError, match=r"no requests of version 7.*versions 5"):
        request_skew.compare(version_in(workspace), log, max_distance=0.1)


def test_a_folder_that_is_no_log(workspace: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected the folder of a request log"):
        request_skew.compare(version_in(workspace), tmp_path, max_distance=0.1)


@pytest.mark.slow
def test_the_command(workspace: Path, tmp_path: Path) -> None:
    log = str(write_log(tmp_path / "log", AS_TRAINED | {"unknown": 400}, {}))
    options = ("--workspace", str(workspace))
    result = movierec("skew", log, "--max-distance", "0.24", *options)
    assert result.returncode == exit_codes.SKEWED, result.stderr
    assert result.stderr == ""
    assert "user activity  change of a share  unknown 0.0%  unknown 25.0%" in result.stdout
    assert result.stdout.splitlines()[-1] == "skewed"
    result = movierec("skew", log, "--max-distance", "0.26", "--json", *options)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["skewed"] is False
