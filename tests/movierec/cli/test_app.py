import errno
import gc
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer

from movierec.cli import app as commands
from movierec.cli.app import app
from tests.movierec.cli.command import COMMAND, assert_refused, imported_by, movierec

ROOT = Path(__file__).parents[3]
COMMANDS = (
    *("run", "datasets", "data", "config", "evaluate", "backtest", "recommend", "report", "runs"),
    *("export", "prune"),
    *("serve", "explore", "versions", "rollback", "promote", "query"),
    *("compile", "run-compiled", "submit", "serving-manifests"),
)
QUERIES = ("recommend", "rating", "similar", "new-user", "new-movie", "status")
HEAVY = {"tensorflow", "tfx", "numpy", "pyarrow", "apache_beam", "pydantic", "grpc", "kubeflow"}


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_the_help_names_every_command(arguments: list[str]) -> None:
    result = movierec(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    assert set(COMMANDS) <= set(result.stdout.split())


@pytest.mark.parametrize("arguments", [["query"], ["query", "--help"]])
def test_the_help_of_a_group_names_its_commands(arguments: list[str]) -> None:
    result = movierec(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    assert set(QUERIES) <= set(result.stdout.split())


def test_the_help_imports_nothing_heavy() -> None:
    code, modules = imported_by("--help")
    assert code == 0
    assert not HEAVY & modules


@pytest.mark.parametrize(
    "command",
    [
        *([name] for name in COMMANDS),
        *(["query", name] for name in QUERIES),
        ["data", "check"],
        ["datasets", "fetch"],
    ],
)
def test_every_option_is_described_by_a_sentence_or_noun_phrase(command: list[str]) -> None:
    click_command = typer.main.get_command(app)
    for name in command:
        click_command = click_command.commands[name]
    assert click_command.help
    for parameter in click_command.params:
        assert re.fullmatch(r"[A-Z].*\.", parameter.help), parameter.name


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    result = movierec("--version")
    assert (result.returncode, result.stdout) == (0, project["version"] + "\n")


def test_the_console_script_is_the_module() -> None:
    script = Path(sys.executable).with_name("movierec")
    result = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert result.stdout == movierec("--version").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["compile", "--target=kfp", "--image=a/b:1", "--pipeline-root=gs://a/b", "-o", "job.yaml"],
        ["run-compiled", "job.yaml", "--workspace", "w"],
        ["submit", "job.yaml"],
        ["serving-manifests"],
    ],
)
def test_another_package_named_kubeflow_is_one_line(arguments: list[str], tmp_path: Path) -> None:
    """The Kubeflow SDK has none of this project's modules."""
    package = tmp_path / "installed" / "kubeflow"
    (package / "trainer").mkdir(parents=True)
    for folder in (package, package / "trainer"):
        (folder / "__init__.py").touch()
    result = subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        check=False,
        # The folder in which Python starts would come before the path.
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(package.parent)},
    )
    assert_refused(result, f"{package}: ", "Kubeflow SDK")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--set", "training.epoch=3"], "training.epochs"),
        (["run", "--set", "data.dataset=csv"], "data.path"),
        (["run", "--config", "nowhere.toml"], "nowhere.toml"),
        (["run", "--fast"], "--fast"),
        (["evaluate", "--split", "test"], "--split test"),
        (["recommend", "--user", "1"], "/serving/movierec: "),
        (["evaluate"], "/serving/movierec: "),
        (["recommend"], "--user"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_1(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    workspace = [] if arguments == ["recommend"] else ["--workspace", str(tmp_path / "w")]
    assert_refused(movierec(*arguments, *workspace), message)
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        ImportError("_pywrap.so: failed to map segment from shared object"),
    ],
)
def test_a_lack_of_memory_in_any_command_is_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(commands, "app", fail)
    with pytest.raises(SystemExit) as end:
        commands.main()
    gc.unfreeze()
    assert end.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("movierec: out of memory; end other programs")
    assert "lower training.memory_budget" in line


def test_an_error_that_nobody_expects_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise ZeroDivisionError("no memory of it")

    monkeypatch.setattr(commands, "app", fail)
    with pytest.raises(ZeroDivisionError):
        commands.main()


def test_a_damaged_model_is_one_line(tmp_path: Path) -> None:
    version = tmp_path / "serving" / "movierec" / "12"
    version.mkdir(parents=True)
    (version / "saved_model.pb").write_bytes(b"damaged")
    assert_refused(movierec("recommend", "--user", "1", "--workspace", str(tmp_path)), str(version))


def test_a_workspace_with_a_file_in_the_way_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    assert_refused(movierec("run", "--workspace", str(tmp_path)), f"{tmp_path / 'runs'}: ")
