import io

import pytest
from rich.console import Console

from movierec.cli import tables
from pipeline.sample_user import SampleUser
from pipeline.summary import Intervals, Summary, Tuning
from serving.answers import Recommendation, VersionStatus
from serving.errors import printable
from tests.pipeline.summaries import summary

# A title that would clear the screen and turn red.
HOSTILE = "[red]A\x1b[2J\r\u202eB[/]"
SHOWN = "[red]A\\x1b[2J\\r\\u202eB[/]"


def shown(result: Summary) -> list[str]:
    text = io.StringIO()
    tables.show_summary(Console(file=text, width=200), result)
    return text.getvalue().splitlines()


def test_a_run_is_one_line_of_80_columns() -> None:
    text = io.StringIO()
    pushed = summary(run_id="20260131-120000", pushed_model="/serving/movierec/1795985538")
    tables.show_runs(Console(file=text, width=80), [pushed])
    (line,) = [line for line in text.getvalue().splitlines() if "20260131" in line]
    assert line.split() == [
        "20260131-120000", "biased_mf", "ml-100k", "0.9300", "pushed", "1795985538"
    ]  # fmt: skip


def test_what_the_search_found_is_one_line() -> None:
    best = {"training.learning_rate": 4.98765, "model.l2_embedding": 0.08, "model.dimension": 117}
    found = Tuning(trials=12, eval_figure=0.93456, best=best)
    assert [line for line in shown(summary(tuning=found)) if "tuned" in line] == [
        "tuned: training.learning_rate 4.988, model.l2_embedding 0.08, model.dimension 117, "
        "the best of 12 trials (0.9346 on eval)"
    ]


def test_without_a_search_nothing_was_found() -> None:
    assert not any("tuned" in line for line in shown(summary()))


def test_the_intervals_of_a_model_that_has_some_are_shown() -> None:
    intervals = Intervals(
        negative_log_likelihood=1.25, coverage_50=0.51, coverage_80=0.79, coverage_95=0.945
    )
    words = [line.replace("│", " ").split() for line in shown(summary(intervals=intervals))]
    for row in ("negative log likelihood 1.2500", "within 80 % intervals 0.7900"):
        assert any(row.split() == line[: len(row.split())] for line in words)
    assert not any("intervals" in line for line in shown(summary()))


@pytest.mark.parametrize("width", [20, 30, 40, 200])
def test_titles_stay_in_a_narrow_terminal(width: int) -> None:
    text = io.StringIO()
    console = Console(file=text, width=width)
    movie = Recommendation("318", "Shawshank Redemption, The (1994)", 4.5)
    tables.show_ranking(console, [movie])
    assert "Shawsha" in text.getvalue()
    text.truncate(0)
    tables.show_sample_user(console, SampleUser("7", [movie], [movie]))
    assert "Sha" in text.getvalue()


@pytest.mark.parametrize(("rating", "figure"), [(4.25, "stars 4.25"), (None, "score 7.50")])
def test_lists_show_stars_where_the_model_says_them(rating: float | None, figure: str) -> None:
    text = io.StringIO()
    console = Console(file=text, width=100)
    tables.show_ranking(console, [Recommendation("1", "Heat", 7.5, rating)])
    words = text.getvalue().split()
    assert f"{words[2]} {words[-1]}" == figure
    text.truncate(0)
    rated = [Recommendation("2", "Ronin", 5.0)]
    sample = SampleUser("7", rated, [Recommendation("1", "Heat", 7.5, rating)])
    tables.show_sample_user(console, sample)
    assert text.getvalue().count("stars") == 1 + (rating is not None)
    assert figure.split()[1] in text.getvalue()


def test_what_was_recognised_is_one_line() -> None:
    line = "data: csv, ratings.csv, delimiter comma"
    assert line in shown(summary(recognised=line.removeprefix("data: ")))


def test_texts_of_others_are_shown_as_text() -> None:
    assert printable(HOSTILE) == SHOWN
    # What is no text at all, such as a name of a file.
    assert printable("\udcff") == "\\udcff"
    assert printable("Amélie №1 日本") == "Amélie №1 日本"


def test_no_table_obeys_a_title_an_id_or_a_path() -> None:
    text = io.StringIO()
    console = Console(file=text, width=300, force_terminal=True, color_system=None)
    movie = Recommendation(HOSTILE, HOSTILE, 4.5)
    tables.show_ranking(console, [movie])
    tables.show_sample_user(console, SampleUser(HOSTILE, [movie], [movie]))
    tables.show_status(console, [VersionStatus(1, HOSTILE, HOSTILE)])
    tables.show_summary(
        console, summary(pushed_model=f"/{HOSTILE}", pin_verdict=HOSTILE, dataset=HOSTILE)
    )
    shown = text.getvalue()
    # An id and a title; three of the user; a state and an error; a path, a verdict and a data set.
    assert shown.count(SHOWN) == 2 + 3 + 2 + 3
    assert "\x1b[2J" not in shown
    assert "\u202e" not in shown
