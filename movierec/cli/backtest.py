"""`movierec backtest`: how often to train, and whether a warm start pays, by past weeks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from movierec.cli import options, output

if TYPE_CHECKING:
    from rich.table import Table

    from pipeline.backtest.report import BacktestReport, PolicyReport, Week
    from pipeline.config.tree import PipelineConfig

_POLICIES = ("fresh", "warm", "fresh/4")
_UNBOUNDED = 10_000


def backtest(
    config: options.ConfigFile = None,
    overrides: options.Overrides = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            "--policy",
            metavar="POLICY",
            help="Policy to compare: fresh or warm, in every fourth week fresh/4. May be repeated; "
            "fresh, warm and fresh/4 if none, without warm if a model has no warm start.",
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model", metavar="NAME", help="Model to compare. May be repeated; model.name if none."
        ),
    ] = None,
    days: Annotated[int, typer.Option(min=1, help="Days of a week.")] = 7,
    first: Annotated[int, typer.Option(min=1, help="Weeks before the first training.")] = 8,
    as_json: options.AsJson = False,
) -> None:
    """Train in past weeks, and measure each model on the week after.

    Each training has all ratings before its week. The gate judges the model on its holdout, and the
    newest blessed one is measured. Nothing is written.

    Example: movierec backtest --policy fresh --policy warm/2 --model biased_mf --model svdpp
    """
    from pipeline.backtest.policies import Policy

    policies = [Policy.parse(text) for text in dict.fromkeys(policy or _POLICIES)]
    names: list[str | None] = [*dict.fromkeys(model)] if model else [None]
    if not policy and not all(
        _loaded(config, overrides or [], name, False).model.trains_by_gradients for name in names
    ):
        policies = [one for one in policies if not one.warm]
    is_warm = any(one.warm for one in policies)
    configs = [_loaded(config, overrides or [], name, is_warm) for name in names]
    with output.hidden_logs() as screen:
        from pipeline.backtest import simulation

        report = simulation.run(configs, policies, days, first, partial(_note, screen))
    if as_json:
        output.print_json_text(report.model_dump_json(indent=2))
    else:
        _show(report)


def _loaded(
    path: Path | None, overrides: list[str], model: str | None, is_warm: bool
) -> PipelineConfig:
    """Returns the configuration of one model, which refuses a warm start of what has none."""
    from pipeline.config.tree import load_config

    named = [] if model is None else [f"model.name={model}"]
    warm = ["training.warm_start=true"] if is_warm else []
    return load_config(path, [*overrides, *named, *warm])


def _note(screen: IO[str], text: str) -> None:
    """Shows on a terminal which training begins."""
    if screen.isatty():
        screen.write(f"\r\x1b[K{text}")
        screen.flush()


def _show(report: BacktestReport) -> None:
    from rich.console import Console
    from rich.measure import Measurement

    console = Console()
    unbounded = console.options.update(width=_UNBOUNDED)
    for name in dict.fromkeys(one.model for one in report.policies):
        policies = [one for one in report.policies if one.model == name]
        title = f"{name} on {report.dataset}"
        beside = _table(title, policies)
        if Measurement.get(console, unbounded, beside).maximum <= console.width:
            console.print(beside)
        else:
            for one in policies:
                console.print(_table(title, [one]))
    for one in report.policies:
        refused = [week for week in one.weeks if week.reasons]
        if refused:
            reasons = "; ".join(refused[-1].reasons)
            output.print_line(f"{one.model}: {one.policy} of {refused[-1].week} refused: {reasons}")
    for line in report.advice:
        output.print_line(line)


def _table(title: str, policies: Sequence[PolicyReport]) -> Table:
    """Returns the weeks of policies beside each other."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title=title, pad_edge=False)
    for column in ("week", "ratings"):
        table.add_column(column, justify="right", no_wrap=True)
    for one in policies:
        table.add_column(f"{one.policy}\nRMSE", justify="right", no_wrap=True)
        table.add_column("\nNDCG@10", justify="right", no_wrap=True)
        table.add_column("\ngate", no_wrap=True)
        table.add_column("\ns", justify="right", no_wrap=True)
    for weeks in zip(*(one.weeks for one in policies), strict=True):
        cells = [cell for week in weeks for cell in _cells(week)]
        table.add_row(weeks[0].week, f"{weeks[0].ratings:,}", *cells)
    table.add_section()
    totals = [cell for one in policies for cell in _totals(one)]
    table.add_row("all", f"{sum(week.ratings for week in policies[0].weeks):,}", *totals)
    return table


def _cells(week: Week) -> tuple[str, str, str, str]:
    verdict = {None: "", True: "blessed", False: "refused"}[week.blessed]
    if week.has_alarm:
        verdict += ", alarm"
    return _figure(week.rmse), _figure(week.ndcg), verdict, f"{week.seconds:.1f}"


def _totals(policy: PolicyReport) -> tuple[str, str, str, str]:
    verdict = f"{policy.refused} of {policy.trainings} refused" if policy.refused else "all blessed"
    return _figure(policy.rmse), _figure(policy.ndcg), verdict, f"{policy.seconds:.0f}"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
