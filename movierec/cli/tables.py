"""The tables that commands print."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from models import features
from models.signature_names import PREDICT, RECOMMEND
from serving.answers import figure_name
from serving.errors import printable

if TYPE_CHECKING:
    from components.drift.report import DriftReport
    from components.gate.record import GoldenComparison
    from components.serving_validator.report import ServingReport
    from movierec.report.comparison import Comparison
    from pipeline.sample_user import SampleUser
    from pipeline.summary import Gate, Ranking, Rmse, Summary, Tuning
    from serving.answers import Explanation, Recommendation, VersionStatus

# Columns of a terminal in which tables have a gap between them.
_WIDE: Final = 90
# Columns of a movie's title.
_TITLE_WIDTH: Final = 44
# Columns of both figures and all padding beside the titles.
_FIGURES_WIDTH: Final = 24
# Columns that a title keeps in the narrowest terminal, where figures are cut instead.
_LEAST_TITLE_WIDTH: Final = 10


def show_summary(console: Console, summary: Summary) -> None:
    """Prints the rows, the figures beside the baselines, the verdicts and the time of each step."""
    console.print()
    name = Text(summary.model, style="bold")
    console.print(name + plain(f" on {summary.dataset}, run {summary.run_id}"))
    if summary.recognised:
        console.print(plain(f"data: {summary.recognised}"))
    gap = 3 if console.width >= _WIDE else 0
    figures: list[RenderableType] = []
    if summary.rmse is not None:
        figures.append(_errors(summary, summary.rmse))
    if summary.ranking is not None:
        figures.append(_ranking(summary.ranking, summary.gate))
    console.print(_side_by_side(gap, _rows(summary), Group(*figures), _seconds(summary)))
    if summary.warm_start is not None:
        console.print(plain(f"start: {summary.warm_start}"), soft_wrap=True)
    if summary.tuning is not None:
        console.print(_tuning(summary.tuning))
    console.print(_drift(summary.drift))
    console.print(_gate(summary))
    console.print(_serving(summary.serving))
    if summary.pin_verdict:
        console.print(plain(f"pin: {summary.pin_verdict}"), soft_wrap=True)
    if summary.pushed_model:
        console.print(plain(f"pushed to {summary.pushed_model}"), soft_wrap=True)
    if summary.bulk_export:
        console.print(plain(f"exported to {summary.bulk_export}"), soft_wrap=True)
    if set(summary.cached) >= _cacheable_steps(summary):
        console.print("every step was cached: nothing has changed since an earlier run")


def show_sample_user(console: Console, sample: SampleUser) -> None:
    """Prints what a user rated highest beside what is recommended to them."""
    table = Table(box=box.SIMPLE_HEAD, title=plain(f"user {sample.user_id}"), title_justify="left")
    # Without fixed widths, a narrow table cuts the figures instead of the titles.
    title_width = max(_LEAST_TITLE_WIDTH, min(_TITLE_WIDTH, (console.width - _FIGURES_WIDTH) // 2))
    figure = figure_name(sample.recommended)
    for titles, figures in (("rated highest", "stars"), ("recommended", figure)):
        table.add_column(titles, width=title_width, no_wrap=True)
        table.add_column(figures, justify="right", no_wrap=True)
    for rated, recommended in zip_longest(sample.rated_highest, sample.recommended):
        table.add_row(
            *((plain(rated.title or rated.movie_id), f"{rated.score:g}") if rated else ("", "")),
            *(
                (plain(recommended.title or recommended.movie_id), f"{recommended.shown:.2f}")
                if recommended
                else ("", "")
            ),
        )
    console.print(table)


def show_ranking(console: Console, ranking: Sequence[Recommendation]) -> None:
    """Prints movies with their predicted ratings or else their scores, best first."""
    if not ranking:
        console.print("no movies are left to recommend")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("movie", overflow="fold", min_width=_LEAST_TITLE_WIDTH)
    table.add_column("id", justify="right", no_wrap=True)
    table.add_column(figure_name(ranking), justify="right", no_wrap=True)
    for rank, entry in enumerate(ranking, start=1):
        table.add_row(str(rank), plain(entry.title), plain(entry.movie_id), f"{entry.shown:.2f}")
    console.print(table)


def show_explanation(console: Console, title: str, explanation: Explanation) -> None:
    """Prints what adds up to the score of a movie: the baseline, ratings, and the others."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", overflow="fold", min_width=_LEAST_TITLE_WIDTH)
    table.add_column("id", justify="right", no_wrap=True)
    table.add_column("rated", justify="right", no_wrap=True)
    table.add_column("adds", justify="right", no_wrap=True)
    table.add_row("the movie, without ratings", "", "", f"{explanation.baseline:.3f}")
    for reason in explanation.reasons:
        table.add_row(
            plain(reason.title or reason.movie_id),
            plain(reason.movie_id),
            f"{reason.rating:g}",
            f"{reason.contribution:+.3f}",
        )
    table.add_row("everything else", "", "", f"{explanation.others:+.3f}")
    table.add_section()
    table.add_row(plain(f"score of {title}"), "", "", f"{explanation.score:.3f}")
    console.print(table)


def show_status(console: Console, statuses: Sequence[VersionStatus]) -> None:
    """Prints the versions of a model with their states, oldest first."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("version", justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("error", overflow="fold")
    for status in statuses:
        table.add_row(str(status.version), plain(status.state), plain(status.error))
    console.print(table)


def show_runs(console: Console, runs: Sequence[Summary]) -> None:
    """Prints the runs, newest first: when, model, data, figures, verdict and version."""
    # A line of 80 columns has room for the names of models.
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for name in ("run", "model", "data", "RMSE", "NDCG@10", "verdict", "version"):
        number = name in ("RMSE", "NDCG@10", "version")
        table.add_column(
            name,
            justify="right" if number else "left",
            no_wrap=number or name in ("run", "verdict"),
            overflow="fold",
        )
    for run in runs:
        table.add_row(
            plain(run.run_id),
            plain(run.model),
            plain(run.dataset),
            "" if run.rmse is None else f"{run.rmse.holdout:.4f}",
            "" if run.ranking is None else f"{run.ranking.ndcg_at_10:.4f}",
            Text("pushed", "green") if run.refusal is None else Text("refused", "red"),
            run.version or "",
        )
    console.print(table)


def show_comparison(console: Console, comparison: Comparison) -> None:
    """Prints what differs between two runs, the paired intervals and the slices that moved."""
    for kind, rows in comparison.changes.items():
        if not rows:
            # All figures that both runs have are listed, equal ones too.
            console.print(f"{kind}: {'none in common' if kind == 'figures' else 'the same'}")
            continue
        table = _figure_table(kind, comparison.before.run_id)
        table.add_column(comparison.now.run_id, justify="right")
        table.add_column("difference" if rows[0].difference else "", justify="right")
        for row in rows:
            table.add_row(plain(row.name), plain(row.before), plain(row.now), row.difference)
        console.print(table)
    if comparison.why_not_paired:
        console.print(plain(f"no paired intervals: {comparison.why_not_paired}"), soft_wrap=True)
        return
    for name, found in comparison.paired.items():
        console.print(
            f"change of {name} on the holdout of {comparison.now.run_id}: {found.difference:+.4f} "
            f"({found.low:+.4f} to {found.high:+.4f} with {found.confidence:g} confidence)",
            soft_wrap=True,
        )
    for one in comparison.moved:
        change = one.change
        assert change is not None
        console.print(
            plain(
                f"moved: {one.feature}={one.value} {change.difference:+.4f} ({change.low:+.4f} to "
                f"{change.high:+.4f}), RMSE {one.rmse:.4f} on {one.ratings:,} ratings"
            ),
            soft_wrap=True,
        )
    if not comparison.moved:
        console.print("no slice moved by more than chance")


def plain(text: str) -> Text:
    """Returns a text of others as text: Rich reads no markup in it, and a terminal no escapes."""
    return Text(printable(text))


def _side_by_side(gap: int, *tables: RenderableType) -> RenderableType:
    grid = Table.grid(padding=(0, gap))
    grid.add_row(*tables)
    return grid


def _figure_table(title: str, unit: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(title, no_wrap=True)
    table.add_column(unit, justify="right")
    return table


def _rows(summary: Summary) -> Table:
    table = _figure_table("rows", "")
    rows = summary.rows
    table.add_row("read", f"{rows.read:,}")
    table.add_row("rejected", f"{rows.rejected:,}")
    for reason, count in rows.rejected_by_reason.items():
        table.add_row(plain(f"  {reason}"), f"{count:,}")
    for split in features.SPLITS:
        table.add_row(split, f"{getattr(rows, split):,}")
    if rows.golden:
        table.add_row("golden set", f"{rows.golden:,}")
        table.add_row("  withheld", f"{rows.withheld:,}")
    return table


def _errors(summary: Summary, rmse: Rmse) -> Table:
    """Returns the RMSE of the splits and of the baselines."""
    table = _figure_table("RMSE", "stars")
    for split in features.SPLITS:
        table.add_row(split, f"{getattr(rmse, split):.4f}")
    table.add_row("  biases only", f"{summary.baselines.bias_only:.4f}")
    table.add_row("  global mean", f"{summary.baselines.global_mean:.4f}")
    if summary.gate.baseline_rmse is not None:
        table.add_row("  last blessed", f"{summary.gate.baseline_rmse:.4f}")
    if summary.gate.baseline_rmse_when_blessed is not None:
        table.add_row("    when blessed", f"{summary.gate.baseline_rmse_when_blessed:.4f}")
    if summary.gate.golden is not None:
        _golden(table, "rmse", summary.gate.golden)
    if summary.mae is not None:
        table.add_section()
        table.add_row("holdout MAE", f"{summary.mae.holdout:.4f}")
        table.add_row("calibration", f"{summary.calibration:.4f}")
    if summary.intervals is not None:
        intervals = summary.intervals
        table.add_section()
        table.add_row("negative log likelihood", f"{intervals.negative_log_likelihood:.4f}")
        for level, covered in intervals.coverages.items():
            table.add_row(f"within {100 * level:.0f} % intervals", f"{covered:.4f}")
    return table


def _golden(table: Table, figure: str, golden: GoldenComparison) -> None:
    """Adds a figure on the golden set, `rmse` or `ndcg`."""
    table.add_row("golden set", f"{getattr(golden.candidate, figure):.4f}")
    if golden.baseline is not None:
        table.add_row("  last blessed", f"{getattr(golden.baseline, figure):.4f}")


def _ranking(ranking: Ranking, gate: Gate) -> Table:
    """Returns NDCG@10 and Recall@10, of the model and of popularity."""
    table = _figure_table("NDCG@10", "")
    table.add_row("eval", f"{ranking.eval_ndcg_at_10:.4f}")
    table.add_row("holdout", f"{ranking.ndcg_at_10:.4f}")
    table.add_row("  popularity", f"{ranking.popularity_ndcg_at_10:.4f}")
    if gate.baseline_ndcg_at_10 is not None:
        table.add_row("  last blessed", f"{gate.baseline_ndcg_at_10:.4f}")
    if gate.golden is not None:
        _golden(table, "ndcg", gate.golden)
    table.add_section()
    table.add_row("Recall@10", f"{ranking.recall_at_10:.4f}")
    table.add_row("  popularity", f"{ranking.popularity_recall_at_10:.4f}")
    return table


def _seconds(summary: Summary) -> Table:
    table = _figure_table("step", "seconds")
    for step, seconds in summary.seconds.items():
        if step != "total":
            table.add_row(step, "cached" if step in summary.cached else f"{seconds:.1f}")
    table.add_section()
    table.add_row("total", f"{summary.seconds['total']:.1f}")
    return table


def _tuning(tuning: Tuning) -> str:
    best = ", ".join(f"{key} {value:.4g}" for key, value in tuning.best.items())
    return f"tuned: {best}, the best of {tuning.trials} trials ({tuning.eval_figure:.4f} on eval)"


def _drift(drift: DriftReport) -> Text:
    from components.drift.report import compared_with

    lines = list(drift.not_compared)
    if drift.moves:
        accepted = f"; accepted: {', '.join(drift.accepted)}" if drift.accepted else ""
        within = sum(not move.exceeded for move in drift.moves)
        compared = compared_with(drift.version, drift.moves)
        lines.insert(
            0,
            f"{within} of {len(drift.moves)} measures are within their limits, compared with "
            f"{compared}{accepted}",
        )
    return Text("\n").join(plain(f"drift: {line}") for line in lines)


def _gate(summary: Summary) -> Text:
    gate = summary.gate
    limits = []
    if summary.rmse is not None:
        limits.append(f"gate.max_rmse {gate.threshold:g}")
        limits.append(f"gate.max_regression {gate.max_regression:g}")
    if summary.ranking is not None:
        limits.append(f"gate.min_gain_over_popularity {gate.min_gain_over_popularity:g}")
        limits.append(f"gate.max_ranking_regression {gate.max_ranking_regression:g}")
    return Text.assemble(
        "gate: ", _blessed(gate.blessed), plain(f" ({', '.join(limits)}): {gate.reason}")
    )


def _serving(serving: ServingReport) -> Text:
    """Returns the model server's verdict, and the latency of the most used signatures."""
    times = [
        f"{name} {serving.latency[name].median:.1f} ms"
        for name in (PREDICT, RECOMMEND)
        if name in serving.latency
    ]
    server = ", ".join([serving.server or "no server came up", *times])
    return Text.assemble(
        "serving: ", _blessed(serving.blessed), plain(f" ({server}): {serving.reason}")
    )


def _blessed(blessed: bool) -> Text:
    return Text("blessed" if blessed else "not blessed", style="green" if blessed else "red")


def _cacheable_steps(summary: Summary) -> set[str]:
    """Returns the steps that run a component, whose results can be cached."""
    looked_up = {"BaselineModel", "DriftValidator"}
    return set(summary.seconds) - {"total", "start-up", "report"} - looked_up
