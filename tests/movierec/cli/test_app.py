import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest


def movierec(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "movierec", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "sys.argv = ['movierec', '--help']\n"
        "from movierec.cli.app import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    print(end.code, [n for n in sys.modules if n in "
        "('tensorflow', 'tfx', 'numpy', 'pyarrow', 'apache_beam')])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    commands = ("run", "datasets", "config", "evaluate", "recommend", "serve", "query")
    for command in (*commands, "serving-manifests", "compile", "run-compiled", "submit"):
        assert command in result.stdout
    assert result.stdout.splitlines()[-1] == "0 []"


def test_datasets() -> None:
    assert "ml-100k" in movierec("datasets").stdout
    names = [entry["name"] for entry in json.loads(movierec("datasets", "--json").stdout)]
    assert names == ["ml-100k", "csv"]


def test_config_prints_what_would_run() -> None:
    result = movierec("config", "--set", "training.epochs=5")
    assert tomllib.loads(result.stdout)["training"]["epochs"] == 5
    result = movierec("config", "--json", "--set", "model.dimension=7")
    assert json.loads(result.stdout)["model"]["dimension"] == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--set", "training.epoch=3"], "did you mean training.epochs?"),
        (["run", "--set", "data.dataset=csv"], "data.path"),
        (["run", "--config", "nowhere.toml"], "nowhere.toml"),
        (["run", "--fast"], "--fast"),
        (["evaluate", "--split", "test"], "train, eval, holdout"),
        (["recommend", "--user", "1"], "no model has been pushed"),
        (["evaluate"], "no model has been pushed"),
        (["recommend"], "--user"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_1(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    workspace = [] if arguments == ["recommend"] else ["--workspace", str(tmp_path / "w")]
    result = movierec(*arguments, *workspace)
    assert result.returncode == 1
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stdout == ""
    assert not (tmp_path / "w").exists()


def test_a_damaged_model_is_one_line(tmp_path: Path) -> None:
    version = tmp_path / "serving" / "movierec" / "12"
    version.mkdir(parents=True)
    (version / "saved_model.pb").write_bytes(b"damaged")
    result = movierec("recommend", "--user", "1", "--workspace", str(tmp_path))
    assert result.returncode == 1
    assert result.stderr.startswith(f"movierec: {version}: no readable SavedModel (")
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_workspace_with_a_file_in_the_way_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    result = movierec("run", "--workspace", str(tmp_path))
    assert result.returncode == 1
    assert result.stderr == f"movierec: {tmp_path / 'runs'}: File exists\n"
