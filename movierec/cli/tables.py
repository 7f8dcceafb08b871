"""Tables that a person reads at the end of a command."""

from __future__ import annotations

from itertools import zip_longest

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from components.serving_validator.report import ServingReport
from models import features
from models.signature_names import PREDICT, RECOMMEND
from pipeline.sample_user import SampleUser
from pipeline.summary import Ranking, Rmse, Summary, Tuning

# Columns of the terminal: from here on tables stand apart.
_WIDE = 90
_TITLE_WIDTH = 44
# What the two columns of figures and all padding take beside the titles.
_FIGURES_WIDTH = 24


def show_summary(console: Console, summary: Summary) -> None:
    """Rows, errors beside the baselines, the verdict, and the time of each step."""
    console.print()
    console.print(f"[bold]{summary.model}[/] on {summary.dataset}, run {summary.run_id}")
    gap = 3 if console.width >= _WIDE else 0
    figures: list[RenderableType] = []
    if summary.rmse is not None:
        figures.append(_errors(summary, summary.rmse))
    if summary.ranking is not None:
        figures.append(_ranking(summary.ranking, summary.gate.baseline_ndcg_at_10))
    console.print(_side_by_side(gap, _rows(summary), Group(*figures), _seconds(summary)))
    if summary.tuning is not None:
        console.print(_found(summary.tuning))
    console.print(_verdict(summary))
    console.print(_served(summary.serving))
    if summary.pushed_model:
        console.print(f"pushed to {summary.pushed_model}", soft_wrap=True)
    if set(summary.cached) >= _cacheable_steps(summary):
        console.print("every step was cached: nothing has changed since an earlier run")


def show_taste(console: Console, taste: SampleUser) -> None:
    """What a user rated highest beside what is recommended to them."""
    table = Table(box=box.SIMPLE_HEAD, title=f"user {taste.user_id}", title_justify="left")
    # Left to itself, the table takes the room that it lacks from the figures.
    title_width = min(_TITLE_WIDTH, (console.width - _FIGURES_WIDTH) // 2)
    for titles, figures in (("rated highest", "stars"), ("recommended", "score")):
        table.add_column(titles, width=title_width, no_wrap=True)
        table.add_column(figures, justify="right", no_wrap=True)
    for rated, recommended in zip_longest(taste.rated_highest, taste.recommended):
        table.add_row(
            *((Text(rated.title or rated.movie_id), f"{rated.score:g}") if rated else ("", "")),
            *(
                (Text(recommended.title or recommended.movie_id), f"{recommended.score:.2f}")
                if recommended
                else ("", "")
            ),
        )
    console.print(table)


def _side_by_side(gap: int, *tables: RenderableType) -> RenderableType:
    grid = Table.grid(padding=(0, gap))
    grid.add_row(*tables)
    return grid


def _figures(title: str, unit: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(title, no_wrap=True)
    table.add_column(unit, justify="right")
    return table


def _rows(summary: Summary) -> Table:
    table = _figures("rows", "")
    rows = summary.rows
    table.add_row("read", f"{rows.read:,}")
    table.add_row("rejected", f"{rows.rejected:,}")
    for reason, count in rows.rejected_by_reason.items():
        table.add_row(f"  {reason}", f"{count:,}")
    for split in features.SPLITS:
        table.add_row(split, f"{getattr(rows, split):,}")
    return table


def _errors(summary: Summary, rmse: Rmse) -> Table:
    """RMSE of the splits and of what it has to beat."""
    table = _figures("RMSE", "stars")
    for split in features.SPLITS:
        table.add_row(split, f"{getattr(rmse, split):.4f}")
    table.add_row("  biases only", f"{summary.baselines.bias_only:.4f}")
    table.add_row("  global mean", f"{summary.baselines.global_mean:.4f}")
    if summary.gate.baseline_rmse is not None:
        table.add_row("  last blessed", f"{summary.gate.baseline_rmse:.4f}")
    if summary.mae is not None:
        table.add_section()
        table.add_row("holdout MAE", f"{summary.mae.holdout:.4f}")
        table.add_row("calibration", f"{summary.calibration:.4f}")
    return table


def _ranking(ranking: Ranking, last_blessed: float | None) -> Table:
    """NDCG@10 and Recall@10, and those of popularity."""
    table = _figures("NDCG@10", "")
    table.add_row("eval", f"{ranking.eval_ndcg_at_10:.4f}")
    table.add_row("holdout", f"{ranking.ndcg_at_10:.4f}")
    table.add_row("  popularity", f"{ranking.popularity_ndcg_at_10:.4f}")
    if last_blessed is not None:
        table.add_row("  last blessed", f"{last_blessed:.4f}")
    table.add_section()
    table.add_row("Recall@10", f"{ranking.recall_at_10:.4f}")
    table.add_row("  popularity", f"{ranking.popularity_recall_at_10:.4f}")
    return table


def _seconds(summary: Summary) -> Table:
    table = _figures("step", "seconds")
    for step, seconds in summary.seconds.items():
        if step != "total":
            table.add_row(step, "cached" if step in summary.cached else f"{seconds:.1f}")
    table.add_section()
    table.add_row("total", f"{summary.seconds['total']:.1f}")
    return table


def _found(tuning: Tuning) -> str:
    best = ", ".join(f"{key} {value:.4g}" for key, value in tuning.best.items())
    return f"tuned: {best}, the best of {tuning.trials} trials ({tuning.eval_figure:.4f} on eval)"


def _verdict(summary: Summary) -> Group:
    verdict = _verdict_of(summary.gate.blessed)
    limits = []
    if summary.rmse is not None:
        limits.append(f"gate.max_rmse {summary.gate.threshold:g}")
        limits.append(f"gate.max_regression {summary.gate.max_regression:g}")
    if summary.ranking is not None:
        limits.append(f"gate.min_gain_over_popularity {summary.gate.min_gain_over_popularity:g}")
        limits.append(f"gate.max_ranking_regression {summary.gate.max_ranking_regression:g}")
    return Group(Text.assemble("gate: ", verdict, f" ({', '.join(limits)}): {summary.gate.reason}"))


def _served(serving: ServingReport) -> Text:
    """The model server's verdict, and how long it takes for the signatures that are asked most."""
    times = [
        f"{name} {serving.latency[name].median:.1f} ms"
        for name in (PREDICT, RECOMMEND)
        if name in serving.latency
    ]
    asked = ", ".join([serving.server or "no server came up", *times])
    return Text.assemble("serving: ", _verdict_of(serving.blessed), f" ({asked}): {serving.reason}")


def _verdict_of(blessed: bool) -> Text:
    return Text("blessed" if blessed else "not blessed", style="green" if blessed else "red")


def _cacheable_steps(summary: Summary) -> set[str]:
    """Steps that ran a component: not the start-up, nor the look-up of the last blessed model."""
    return set(summary.seconds) - {"total", "start-up", "BaselineModel", "report"}
