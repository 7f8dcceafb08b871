"""The page on a run beside the run's own figures."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from movierec.cli.report import write_report
from movierec.report import page
from movierec.report.lists import reported_lists
from movierec.report.material import Material, collect
from movierec.report.rated_rows import read_rows
from movierec.report.slices import rating_slices
from pipeline.workspace import Workspace
from tests.e2e.pipeline_runs import ROWS, Story
from tests.e2e.pushed_models import pushed, split_ratings, vocabulary
from tests.movierec.cli.command import assert_refused, movierec


@pytest.fixture(scope="module")
def material(first_run: Story) -> Material:
    return collect(Workspace(first_run.workspace), first_run.runs["first"])


@pytest.fixture(scope="module")
def html(first_run: Story) -> str:
    path = page.write(Workspace(first_run.workspace), first_run.runs["first"])
    assert path.name == "report.html"
    assert path.with_name("summary.json").exists()
    return path.read_text(encoding="utf-8")


def test_the_page_needs_no_other_file(html: str) -> None:
    assert len(html.encode()) < 2_000_000
    assert "<script" not in html
    assert "url(" not in re.sub(r"url\(#[^)]*\)", "", html)
    links = re.findall(r'(?:href|src)="([^"]*)"', html)
    assert links
    assert all(link.startswith("#") for link in links)
    ids = re.findall(r'\bid="([^"]*)"', html)
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links} <= set(ids)


def test_figures_are_those_of_the_summary(first_run: Story, html: str) -> None:
    summary = first_run.runs["first"]
    assert summary.rmse is not None
    for figure in (summary.rmse.holdout, summary.rmse.eval, summary.baselines.bias_only):
        assert f"{figure:.4f}" in html
    assert html.index("Pushed") < html.index("Conditions of the gate")
    for split in ("train", "eval", "holdout"):
        assert f"{getattr(summary.rows, split):,}" in html
    peaks = list(summary.peak_memory_mb.values())
    assert len(peaks) > 10
    # TensorFlow alone takes hundreds of megabytes.
    assert 300 < min(peaks) <= max(peaks) < 100_000


def test_slices_are_those_of_the_evaluator(first_run: Story, material: Material) -> None:
    found = {f"{one.feature}={one.value}": one.rmse for one in rating_slices(material)}
    assert found == pytest.approx(first_run.runs["first"].slices, abs=1e-6)


def test_coverage_and_popularity_are_those_of_the_recommendations(
    first_run: Story, material: Material
) -> None:
    summary = first_run.runs["first"]
    movies, users = vocabulary(summary, "movie_ids"), vocabulary(summary, "user_ids")
    counts = dict.fromkeys(movies, 0)
    # The exported model was trained on both splits, but for what only eval has.
    for user, movie, _ in split_ratings(summary, "train") + split_ratings(summary, "eval"):
        if movie in counts and user in users:
            counts[movie] += 1
    answer = pushed(summary).signatures["recommend"](user_id=np.array(users, object), k=10)
    lists = answer["movie_id"].numpy().astype(str)
    shown = [movie for movie in lists.ravel() if movie]
    found = reported_lists(material).figures
    assert found.users == len(users)
    assert found.coverage == pytest.approx(len(set(shown)) / len(movies))
    assert found.average_popularity == pytest.approx(np.mean([counts[movie] for movie in shown]))
    novelty = [-np.log2(counts[movie] / len(users)) for movie in shown]
    assert found.novelty == pytest.approx(np.mean(novelty))


def test_rows_that_are_read_are_those_of_the_split(first_run: Story) -> None:
    summary = first_run.runs["first"]
    rows = read_rows(summary.examples, "holdout", 200_000)
    expected = split_ratings(summary, "holdout")
    columns = (rows.columns[name] for name in ("user_id", "movie_id", "rating"))
    found = zip(*columns, strict=True)
    assert [(user.decode(), movie.decode(), stars) for user, movie, stars in found] == expected
    assert len(read_rows(summary.examples, "holdout", 10)) == 10


def test_a_model_that_was_pushed_already_is_loaded_once(first_run: Story) -> None:
    again = collect(Workspace(first_run.workspace), first_run.runs["again"])
    assert again.last_model is again.model
    assert again.last == first_run.runs["first"]


def test_what_is_gone_is_named(first_run: Story, tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")
    pruned = first_run.runs["first"].model_copy(update={"examples": gone})
    with pytest.raises(FileNotFoundError) as caught:
        collect(Workspace(first_run.workspace), pruned)
    assert caught.value.filename == gone


@pytest.mark.slow
def test_the_command_writes_the_page_of_any_run(story: Story) -> None:
    workspace = ("--workspace", str(story.workspace))
    run = story.runs["stricter gate"]
    result = movierec("report", run.run_id, *workspace)
    assert result.returncode == 0, result.stderr
    html = Path(result.stdout.strip()).read_text(encoding="utf-8")
    assert "Not pushed" in html
    assert '<span class="missed">' in html
    assert_refused(movierec("report", "nothing", *workspace), "run nothing: no such run")


@pytest.mark.slow
def test_runs_are_listed_newest_first(story: Story) -> None:
    result = movierec("runs", "--json", "--workspace", str(story.workspace))
    assert result.returncode == 0, result.stderr
    listed = {run["run_id"]: run for run in json.loads(result.stdout)}
    assert sorted(listed, reverse=True) == list(listed)
    for name in ("first", "stricter gate"):
        run = story.runs[name]
        assert run.rmse is not None
        found = listed[run.run_id]
        assert found["figures"]["RMSE"] == run.rmse.holdout
        assert found["pushed"] is (name == "first")
        assert found["ratings"] == ROWS
    assert listed[story.runs["first"].run_id]["version"] == story.versions["first"][-1]


@pytest.mark.slow
def test_two_runs_are_compared_on_one_holdout(story: Story, tmp_path: Path) -> None:
    worse, better = story.runs["worse model let through"], story.runs["first"]
    page = tmp_path / "compared.html"
    command = ("runs", "compare", worse.run_id, better.run_id, "--html", str(page), "--json")
    result = movierec(*command, "--workspace", str(story.workspace))
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    changed = {
        one["name"]: (one["before"], one["now"]) for one in found["changes"]["configuration"]
    }
    assert changed["training.epochs"] == ("1", "12")
    # Both runs have the same ratings, so the holdout is that of either.
    assert worse.rmse is not None
    assert better.rmse is not None
    change = found["paired"]["RMSE"]
    expected = better.rmse.holdout - worse.rmse.holdout
    assert change["difference"] == pytest.approx(expected, abs=1e-6)
    assert change["low"] < change["difference"] < change["high"] < 0
    assert {one["feature"] for one in found["moved"]} >= {"user_activity"}
    html = page.read_text(encoding="utf-8")
    assert f"{expected:+.4f}" in html
    assert "training.epochs" in html


def test_a_report_that_fails_is_one_line_and_no_error(
    tmp_path: Path, first_run: Story, capfd: pytest.CaptureFixture[str]
) -> None:
    run = first_run.runs["first"]
    (tmp_path / "runs" / run.run_id).mkdir(parents=True)
    assert write_report(Workspace(tmp_path), run) is None
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("movierec: warning: no report (")
