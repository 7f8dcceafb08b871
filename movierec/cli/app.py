"""The command line. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import json
import os
import sys
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from models import features
from movierec.cli import exit_codes
from movierec.cli import serve as serve_cli
from movierec.cli.compile import compile_job
from movierec.cli.options import ConfigFile, Overrides
from movierec.cli.query import query
from movierec.cli.run_compiled import run_compiled
from movierec.cli.serving_manifests import serving_manifests
from movierec.cli.submit import submit
from pipeline.config.errors import EXPECTED, LINE_START, RunInterruptedError, UserError
from pipeline.workspace import Workspace
from serving.defaults import DEFAULT_MODEL
from serving.versions import versions

if TYPE_CHECKING:
    from pipeline.config.tree import PipelineConfig
    from pipeline.sample_user import SampleUser
    from pipeline.summary import Summary

app = typer.Typer(
    name="movierec",
    help="Train, gate and serve a movie recommender on MovieLens ratings.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(query)

WorkspaceFolder = Annotated[
    Path, typer.Option("--workspace", help="The folder for everything a run writes.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Version = Annotated[int | None, typer.Option(help="A pushed version; the newest if not given.")]
ModelName = Annotated[str, typer.Option("--model-name", help="As serving.model_name.")]

_WORKSPACE = Path("workspace")
_SHOWN = 10


@app.command()
def run(
    config: ConfigFile = None,
    overrides: Overrides = None,
    workspace: WorkspaceFolder = _WORKSPACE,
    user: Annotated[str | None, typer.Option(help="Whose recommendations to show.")] = None,
    tune: Annotated[bool, typer.Option("--tune", help="Search for better options first.")] = False,
    as_json: AsJson = False,
    verbose: Annotated[bool, typer.Option(help="Show all logs.")] = False,
) -> None:
    """Run the pipeline on this machine; exits 2 if the model is not pushed."""
    from pipeline import local_runner

    folder = Workspace(workspace)
    chosen = [*(overrides or ()), *(["tuning.enabled=true"] if tune else ())]
    try:
        result = local_runner.run(_load(config, chosen), folder, verbose)
    except KeyboardInterrupt as error:
        raise RunInterruptedError(
            "interrupted; finished steps are kept, and a new run goes on from them"
        ) from error
    if as_json:
        print(result.model_dump_json(indent=2))
    else:
        from rich.console import Console

        from movierec.cli import tables

        console = Console()
        tables.show_summary(console, result)
        if result.pushed_model:
            tables.show_taste(console, _taste(result, user))
    if result.refusal:
        _say(f"not pushed: {result.refusal}")
        raise typer.Exit(exit_codes.NOT_BLESSED)


@app.command()
def datasets(as_json: AsJson = False) -> None:
    """List what can be run."""
    from components.movielens_example_gen.readers import EDITIONS

    rows = [
        {"name": name, "description": edition.description, "files": edition.files}
        for name, edition in EDITIONS.items()
    ]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    for name, edition in EDITIONS.items():
        print(f"{name:<10} {edition.description} ({', '.join(edition.files)})")


@app.command(name="config")
def show_config(
    config: ConfigFile = None, overrides: Overrides = None, as_json: AsJson = False
) -> None:
    """Print the effective configuration as TOML."""
    from pipeline.config.tree import to_toml

    effective = _load(config, overrides)
    print(effective.model_dump_json(indent=2) if as_json else to_toml(effective).rstrip())


@app.command()
def evaluate(
    workspace: WorkspaceFolder = _WORKSPACE,
    version: Version = None,
    split: Annotated[str, typer.Option(help="train, eval or holdout.")] = features.HOLDOUT,
    model_name: ModelName = DEFAULT_MODEL,
    as_json: AsJson = False,
) -> None:
    """Measure a pushed model on a split of the run that pushed it."""
    from pipeline import summary

    if split not in features.SPLITS:
        raise UserError(f"--split {split}: allowed: {', '.join(features.SPLITS)}")
    folder = Workspace(workspace)
    pushed = _pushed_version(folder, model_name, version)
    trained = summary.of_pushed_model(folder, pushed)
    with _quietly():
        from pipeline import ratings
        from serving.pushed_model import PushedModel

        rated = ratings.read(Path(trained.examples), split)
        model = PushedModel(pushed)
        figures: dict[str, Any] = {}
        if len(rated["rating"]) and model.predicts_ratings:
            figures |= asdict(ratings.errors(model, rated))
        if len(rated["rating"]) and split == features.HOLDOUT and trained.ranking is not None:
            figures |= asdict(ratings.ranking(model, rated, trained.ranking.liked_rating))
    if not len(rated["rating"]):
        raise UserError(
            f"{trained.examples}: the ratings of {split} are gone; `movierec run` makes them"
        )
    if not figures:
        raise UserError(
            f"--split {split}: {trained.model} only ranks movies that a user has not rated, and "
            f"has seen these ratings; allowed: {features.HOLDOUT}"
        )
    if as_json:
        print(json.dumps({"pushed_model": str(pushed), "split": split, **figures}, indent=2))
        return
    if "rmse" in figures:
        print(
            f"{pushed}: RMSE {figures['rmse']:.4f}, MAE {figures['mae']:.4f} stars on the "
            f"{figures['ratings']:,} ratings of {split}"
        )
    if "ndcg" in figures:
        print(
            f"{pushed}: NDCG@10 {figures['ndcg']:.4f}, Recall@10 {figures['recall']:.4f} over the "
            f"{figures['users']:,} users who liked a movie of {split}"
        )


@app.command()
def recommend(
    user: Annotated[str, typer.Option(help="A user id; an unknown one gets popular movies.")],
    k: Annotated[int, typer.Option("-k", min=1, help="How many.")] = 10,
    workspace: WorkspaceFolder = _WORKSPACE,
    version: Version = None,
    model_name: ModelName = DEFAULT_MODEL,
    as_json: AsJson = False,
) -> None:
    """Recommend movies with a pushed model."""
    pushed = _pushed_version(Workspace(workspace), model_name, version)
    with _quietly():
        from serving.pushed_model import PushedModel

        found = PushedModel(pushed).recommend(user, k)
    if as_json:
        print(json.dumps([asdict(entry) for entry in found], indent=2))
        return
    for rank, entry in enumerate(found, start=1):
        print(f"{rank:>3}  {entry.score:5.2f}  {entry.title or entry.movie_id}")


app.command()(serve_cli.serve)
app.command()(serving_manifests)
app.command(name="compile")(compile_job)
app.command()(run_compiled)
app.command()(submit)


def main() -> NoReturn:
    """Runs a command; what a person can put right is one line and exit code 1."""
    try:
        code = app(standalone_mode=False)
        if code == exit_codes.INTERRUPTED:
            _say("interrupted")
    except RunInterruptedError as error:
        _say(str(error))
        code = exit_codes.INTERRUPTED
    except EXPECTED as error:
        _say(str(error))
        code = exit_codes.FAILED
    except OSError as error:
        _say(f"{error.filename}: {error.strerror}")
        code = exit_codes.FAILED
    except typer.TyperException as error:
        # Only the exceptions of a wrong call have it; it names the option.
        _say(getattr(error, "format_message", error.__str__)())
        code = exit_codes.FAILED
    sys.exit(code)


def _load(path: Path | None, overrides: list[str] | None) -> PipelineConfig:
    from pipeline.config.tree import load_config

    return load_config(path, overrides or ())


def _pushed_version(workspace: Workspace, model_name: str, version: int | None) -> Path:
    folder = workspace.serving(model_name).resolve()
    present = versions(folder)
    if not present:
        raise UserError(f"{folder}: no model has been pushed there; `movierec run` does that")
    if version is None:
        return present[-1]
    chosen = folder / str(version)
    if chosen not in present:
        names = ", ".join(entry.name for entry in present)
        raise UserError(f"--version {version}: not in {folder}; there are {names}")
    return chosen


def _taste(result: Summary, user: str | None) -> SampleUser:
    """What the user (by default a typical one) rated highest, and what is recommended."""
    with _quietly():
        from pipeline import ratings, sample_user
        from serving.pushed_model import PushedModel

        rated = ratings.read(Path(result.examples), features.TRAIN)
        model = PushedModel(Path(str(result.pushed_model)))
        return sample_user.sample_user(
            model, rated, user or sample_user.typical_user(rated), _SHOWN
        )


def _quietly() -> AbstractContextManager[Any]:
    """Keeps what TensorFlow says while it loads a model off the screen."""
    from pipeline import run_log

    return run_log.redirected(Path(os.devnull))


def _say(message: Any) -> None:
    print(f"{LINE_START}{message}", file=sys.stderr)
