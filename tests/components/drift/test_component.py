"""DriftValidator as a step: the push folder is its memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tfx import types
from tfx.types import standard_artifacts
from tfx.types.experimental import simple_artifacts

from benchmarks.poisonings import POISONINGS, Array, Poisoning
from components.drift.component import Executor, read_report
from components.drift.limits import DriftLimits
from components.drift.report import NAMES, DriftReport
from components.errors import DataError
from components.gate import release
from components.gate.release import write_sample, write_statistics
from components.movielens_example_gen import rating_sample
from components.movielens_example_gen.rating_sample import RatingSample
from components.movielens_example_gen.readers.edition import RawRatings
from components.movielens_example_gen.report import SpanReport
from models.export.saved_model import write_comparison_group
from pipeline import SCHEMA_FILE
from tests.components import ingest_reports
from tests.components import weekly_ratings as weekly
from tests.components.pushed_files import EMPTY_MODEL
from tests.components.weekly_ratings import Week


def sample(week: Week, stars: Array) -> RatingSample:
    table = weekly.table(week, stars)
    return rating_sample.draw(table, RawRatings(table, weekly.movies()))


def push(folder: Path, number: int, version: str, group: str = "group") -> None:
    """Pushes a model of the ratings up to a week."""
    week = weekly.week(number)
    pushed = folder / version
    pushed.mkdir(parents=True)
    (pushed / "saved_model.pb").write_bytes(EMPTY_MODEL)
    write_comparison_group(str(pushed), group)
    write_statistics(str(pushed), weekly.train_statistics(week, week.stars))
    write_sample(str(pushed), sample(week, week.stars))


def run(
    folder: Path,
    pushed: Path,
    number: int,
    accepted: str = "",
    spans: tuple[SpanReport, ...] = (),
    poisoning: Poisoning | None = None,
) -> DriftReport:
    """Runs the step on the ratings up to a week."""
    examples = standard_artifacts.Examples()
    examples.uri = str(folder / "examples")
    ingest_reports.write(folder / "examples", spans=spans)
    week = weekly.week(number)
    stars = week.stars
    if poisoning is not None:
        stars = poisoning.change(week.users, stars, np.random.default_rng(number))
    rating_sample.write(examples.uri, sample(week, stars))
    statistics = standard_artifacts.ExampleStatistics()
    statistics.uri = str(folder / "statistics")
    statistics.split_names = '["train"]'
    split = folder / "statistics" / "Split-train"
    split.mkdir(parents=True)
    (split / "FeatureStats.pb").write_bytes(
        weekly.train_statistics(week, stars).SerializeToString()
    )
    schema = standard_artifacts.Schema()
    schema.uri = str(SCHEMA_FILE.parent)
    drift: types.Artifact = simple_artifacts.Metrics()
    drift.uri = str(folder / "drift")
    Executor().Do(
        {"examples": [examples], "statistics": [statistics], "schema": [schema]},
        {"drift": [drift]},
        {
            "limits": DriftLimits().model_dump_json(),
            "accepted_drift": accepted,
            "pushed": str(pushed),
            "comparison_group": "group",
        },
    )
    return read_report(drift.uri)


def test_the_first_run_has_nothing_to_compare_with(tmp_path: Path) -> None:
    assert run(tmp_path, tmp_path / "pushed", 26) == DriftReport(
        version=None, not_compared=("no blessed model to compare with",)
    )
    push(tmp_path / "pushed", 52, "8", group="another seed")
    report = run(tmp_path / "2", tmp_path / "pushed", 26)
    assert report.version is None
    assert "there are another seed" in report.not_compared[0]


def test_a_good_week_goes_on(tmp_path: Path) -> None:
    push(tmp_path / "pushed", 26, "8")
    report = run(tmp_path, tmp_path / "pushed", 27)
    assert report.version == "8"
    assert not any(move.exceeded for move in report.moves)
    assert report.not_compared == ()


@pytest.mark.parametrize("name", POISONINGS)
def test_a_poisoned_week_stops_the_run_whatever_is_trained(name: str, tmp_path: Path) -> None:
    """Of 2 % too: each changes more than 1 % of the ratings that the last blessed model knew."""
    push(tmp_path / "pushed", 26, "8")
    with pytest.raises(DataError, match=r"--accept-drift .*changed"):
        run(tmp_path, tmp_path / "pushed", 27, poisoning=POISONINGS[name])


@pytest.mark.parametrize(
    ("file", "missing", "names"),
    [
        (
            release.SAMPLE_FILE,
            "a sample of its ratings",
            ("gone", "changed", "titles", "profiles", "late"),
        ),
        (
            release.STATISTICS_FILE,
            "statistics of its data",
            ("ratings", "users", "movies", "rating", "genres", "activity", "time"),
        ),
    ],
)
def test_a_version_of_an_earlier_release_is_compared_by_what_it_has(
    file: str, missing: str, names: tuple[str, ...], tmp_path: Path
) -> None:
    push(tmp_path / "pushed", 26, "8")
    (tmp_path / "pushed" / "8" / file).unlink()
    report = run(tmp_path, tmp_path / "pushed", 27)
    assert report.version == "8"
    assert {move.name for move in report.moves} == set(NAMES) - {*names, "span"}
    assert report.not_compared == (
        f"an earlier release pushed version 8 without {missing}: {', '.join(names)} are not "
        "compared",
    )


@pytest.mark.parametrize(
    "name",
    [release.RECORD_FILE, release.STATISTICS_FILE, release.SAMPLE_FILE, "saved_model.pb"],
)
def test_a_damaged_file_of_the_last_version_stops_the_run_before_it_trains(
    name: str, tmp_path: Path
) -> None:
    push(tmp_path / "pushed", 26, "8")
    damaged = tmp_path / "pushed" / "8" / name
    damaged.write_bytes(b"\xff\xfe garbage")
    with pytest.raises(DataError, match=f"{damaged}: damaged, "):
        run(tmp_path, tmp_path / "pushed", 27)


def test_a_truncated_week_stops_the_run_unless_it_is_accepted(tmp_path: Path) -> None:
    """Half of the ratings and of the users are gone; the newest comparable version counts."""
    push(tmp_path / "pushed", 13, "8")
    push(tmp_path / "pushed", 52, "9")
    push(tmp_path / "pushed", 13, "10", group="another seed")
    with pytest.raises(DataError) as caught:
        run(tmp_path / "1", tmp_path / "pushed", 26)
    first, header, *lines = str(caught.value).splitlines()
    assert "version 9" in first
    assert header.startswith("name")
    names = [line.split()[0] for line in lines]
    assert {"ratings", "users", "time"} <= set(names)
    assert f"--accept-drift {','.join(names)} " in first
    with pytest.raises(DataError) as caught:
        run(tmp_path / "2", tmp_path / "pushed", 26, accepted="ratings")
    assert "users" in str(caught.value)
    report = run(tmp_path / "3", tmp_path / "pushed", 26, accepted=",".join([*names, "genres"]))
    assert list(report.accepted) == names


def span(name: str, *stars: int) -> SpanReport:
    """A span with so many ratings of 1 to 5 stars."""
    count = sum(stars)
    mean = sum(star * n for star, n in enumerate(stars, start=1)) / count if count else None
    return SpanReport(
        name=name, read=count, accepted=count, users=1, movies=1, mean=mean, histogram=stars
    )


def test_a_broken_week_is_seen_among_many(tmp_path: Path) -> None:
    """One week of 52 moves the statistics of all of them by less than the limits."""
    good = [span(f"week-{number}", 6, 11, 27, 34, 22) for number in range(51)]
    usual = (*good, span("new", 7, 10, 26, 35, 22))
    (move,) = run(tmp_path / "a", tmp_path / "pushed", 26, "", usual).moves
    assert (move.name, move.exceeded) == ("span", False)
    flipped = (*good, span("new", 22, 34, 27, 11, 6))
    with pytest.raises(DataError) as caught:
        run(tmp_path / "b", tmp_path / "pushed", 26, "", flipped)
    assert "other spans; if the change is meant, --accept-drift span" in str(caught.value)
    assert "new mean 2.45" in str(caught.value)
    accepted = run(tmp_path / "c", tmp_path / "pushed", 26, "span", flipped)
    assert accepted.accepted == ("span",)
    # By the definition, in float64: H((p + q) / 2) - (H(p) + H(q)) / 2, in bits.
    p, q = np.array([22, 34, 27, 11, 6]) / 100, np.array([6, 11, 27, 34, 22]) / 100
    entropy = [-np.sum(one * np.log2(one)) for one in ((p + q) / 2, p, q)]
    expected = entropy[0] - (entropy[1] + entropy[2]) / 2
    assert accepted.moves[0].moved == pytest.approx(expected)


def test_an_older_span_on_another_scale_stops_the_first_run(tmp_path: Path) -> None:
    """Later it was the newest span once, and a person may have accepted it."""
    weeks = [span(f"week-{number}", 6, 11, 27, 34, 22) for number in range(50)]
    # Of the same stars on a scale of 1 to 2.5, and too few to tell.
    few, halved = span("few", 40, 59, 0, 0, 0), span("broken", 17, 61, 22, 0, 0)
    broken = (*weeks[:20], few, halved, *weeks[20:])
    with pytest.raises(DataError, match="has moved too far from that of the other spans") as caught:
        run(tmp_path / "a", tmp_path / "none", 26, "", broken)
    (line,) = [line for line in caught.value.table if line.startswith("span")]
    assert "broken mean 2.05" in line
    assert "mean 3.5" in line
    push(tmp_path / "pushed", 26, "8")
    report = run(tmp_path / "b", tmp_path / "pushed", 26, "", broken)
    assert not [move for move in report.moves if move.name == "span" and move.exceeded]
    weeks[30] = span("usual", 7, 10, 26, 35, 22)
    (move,) = run(tmp_path / "c", tmp_path / "none", 26, "", tuple(weeks)).moves
    assert not move.exceeded


def test_the_first_span_and_an_empty_one_have_nothing_to_compare(tmp_path: Path) -> None:
    for name, spans in (("one", (span("1", 1, 1, 1, 1, 1),)), ("none", (span("1", 1), span("2")))):
        assert run(tmp_path / name, tmp_path / "pushed", 26, "", spans).moves == ()
