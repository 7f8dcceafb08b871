"""Joins the commands, and turns errors into one line and an exit code."""

from __future__ import annotations

import gc
import sys
from typing import Annotated, Final, NoReturn

import typer

from models.errors import TrainingStoppedError
from movierec.cli import exit_codes, help_pages
from movierec.cli.backtest import backtest
from movierec.cli.compile import compile_job
from movierec.cli.config import config
from movierec.cli.data import data
from movierec.cli.datasets import datasets
from movierec.cli.evaluate import evaluate
from movierec.cli.explore import explore
from movierec.cli.export import export
from movierec.cli.output import print_error
from movierec.cli.promote import promote
from movierec.cli.prune import prune
from movierec.cli.query import query
from movierec.cli.recommend import recommend
from movierec.cli.report import report
from movierec.cli.rollback import rollback
from movierec.cli.run import run
from movierec.cli.run_compiled import run_compiled
from movierec.cli.runs import runs
from movierec.cli.serve import serve
from movierec.cli.serving_manifests import serving_manifests
from movierec.cli.skew import skew
from movierec.cli.submit import submit
from movierec.cli.versions import versions
from pipeline.config.errors import EXPECTED, RunInterruptedError
from pipeline.step_failure import LESS_MEMORY, is_out_of_memory
from serving.shutdown import handle_stop_signals

_OUT_OF_MEMORY: Final = (
    f"out of memory; end other programs or take a machine with more; for a run, {LESS_MEMORY}"
)

app = typer.Typer(name="movierec", add_completion=False, pretty_exceptions_enable=False)

app.command(rich_help_panel=help_pages.TRAIN)(run)
app.add_typer(datasets, rich_help_panel=help_pages.TRAIN)
app.add_typer(data, rich_help_panel=help_pages.TRAIN)
app.command(rich_help_panel=help_pages.TRAIN)(config)
app.command(rich_help_panel=help_pages.TRAIN)(evaluate)
app.command(rich_help_panel=help_pages.TRAIN)(backtest)
app.command(rich_help_panel=help_pages.TRAIN)(recommend)
app.command(rich_help_panel=help_pages.TRAIN)(report)
app.add_typer(runs, rich_help_panel=help_pages.TRAIN)
app.add_typer(export, rich_help_panel=help_pages.TRAIN)
app.command(rich_help_panel=help_pages.TRAIN)(prune)
app.command(rich_help_panel=help_pages.SERVE)(serve)
app.command(rich_help_panel=help_pages.SERVE)(explore)
app.command(rich_help_panel=help_pages.SERVE)(skew)
app.command(rich_help_panel=help_pages.SERVE)(versions)
app.command(rich_help_panel=help_pages.SERVE)(rollback)
app.command(rich_help_panel=help_pages.SERVE)(promote)
app.add_typer(query, rich_help_panel=help_pages.SERVE)
app.command(name="compile", rich_help_panel=help_pages.CLUSTER)(compile_job)
app.command(rich_help_panel=help_pages.CLUSTER)(run_compiled)
app.command(rich_help_panel=help_pages.CLUSTER)(submit)
app.command(rich_help_panel=help_pages.CLUSTER)(serving_manifests)


@app.callback(invoke_without_command=True)
def movierec(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Train, evaluate and serve a movie recommender.

    Example: movierec run && movierec recommend --user 42
    """
    if version:
        from importlib.metadata import version as version_of

        print(version_of("movierec"))
        raise typer.Exit
    help_pages.show_help_without_command(context)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def main() -> NoReturn:
    """Runs a command. An error that the user can put right is one line and exit code 1."""
    try:
        # Commands that end in another way than at once handle the signals themselves.
        with handle_stop_signals(_interrupt):
            code = app(standalone_mode=False)
        if code == exit_codes.INTERRUPTED:
            print_error("interrupted")
    except KeyboardInterrupt:
        # Between the start of the block and the command.
        print_error("interrupted")
        code = exit_codes.INTERRUPTED
    except (RunInterruptedError, TrainingStoppedError) as error:
        print_error(error)
        code = exit_codes.INTERRUPTED
    except EXPECTED as error:
        print_error(error, getattr(error, "table", ()))
        code = exit_codes.FAILED
    except OSError as error:
        named = f"{error.filename}: {error.strerror}" if error.filename else error
        print_error(_OUT_OF_MEMORY if is_out_of_memory(error) else named)
        code = exit_codes.FAILED
    except typer.TyperException as error:
        # Only errors of usage have the method; their message names the option.
        print_error(getattr(error, "format_message", error.__str__)())
        code = exit_codes.FAILED
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        print_error(_OUT_OF_MEMORY)
        code = exit_codes.FAILED
    # The end of the process frees all its memory; the collector would take seconds to look for
    # what it can free of the modules.
    gc.freeze()
    sys.exit(code)
