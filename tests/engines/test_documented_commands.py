"""Every command of `gcloud` and `kubectl` in the documentation, as the real parsers take it.

Nothing leaves this machine. gcloud has a command that parses others. kubectl is given the address
of a server that is not there, and reaches for it only once it has parsed its arguments.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any, Final

import pytest

from kubeflow.manifests import render
from pipeline.config.tree import load_config
from serving.ports import free_port

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS: Final = ("gcloud", "kubectl")
# A block of the shell, or code within a line, which may go over the end of one.
_CODE: Final = re.compile(r"```sh\n(?P<block>.*?)```|(?<!`)`(?P<inline>[^`]+)`(?!`)", re.DOTALL)
# Variables of the shell that pages leave to the reader.
_OF_THE_READER: Final = {"ROOT": "gs://my-bucket/root"}
# Named in a sentence, without the arguments that they need.
_MENTIONS: Final = {("kubectl", "port-forward"), ("kubectl", "auth", "can-i")}
_ENDS: Final = {"&", "|", "&&", ";", ">", ">>"}


@dataclass(frozen=True)
class Command:
    """A command on a page.

    Attributes:
        page: Name of the page.
        words: Program and arguments, with the page's own variables filled in.
    """

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {shlex.join(self.words)}"


def commands_of(page: Path) -> list[Command]:
    """Returns all commands of the programs on a page, in order."""
    text = page.read_text(encoding="utf-8")
    lines: list[str] = []
    for code in _CODE.finditer(text):
        block = code["block"]
        if block is None:
            lines.append(" ".join(code["inline"].split()))
        else:
            lines += block.replace("\\\n", " ").splitlines()
    variables: dict[str, str] = dict(_OF_THE_READER)
    found = []
    for line in lines:
        words = tokens(line)
        if words[:1] == ["export"]:
            for name, value in (word.split("=", 1) for word in words[1:]):
                variables[name] = filled_in(value, variables)
        if len(words) > 1 and words[0] in PROGRAMS and tuple(words) not in _MENTIONS:
            found.append(Command(page.name, tuple(filled_in(word, variables) for word in words)))
    return found


def tokens(line: str) -> list[str]:
    """Returns the words of a line up to whatever ends its first command; none if it is no shell."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:
        return []
    end = next((i for i, word in enumerate(words) if word in _ENDS), len(words))
    return words[:end]


def filled_in(text: str, variables: Mapping[str, str]) -> str:
    """Returns a text with values in place of the shell's variables, all of which must be known."""
    return Template(text).substitute(variables)


COMMANDS = [command for page in PAGES for command in commands_of(page)]
MISSING = {
    name: pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed")
    for name in PROGRAMS
}


def commands_for(program: str) -> list[Command]:
    return [command for command in COMMANDS if command.words[0] == program]


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_command_is_overlooked(program: str) -> None:
    lines = [
        line
        for page in PAGES
        for line in page.read_text(encoding="utf-8").splitlines()
        if re.search(rf"(^|`){program} ", line)
        and not any(f"`{shlex.join(mention)}`" in line for mention in _MENTIONS)
    ]
    assert len(lines) > 9
    # A line may hold several.
    assert len(commands_for(program)) >= len(lines)


def parsed_by_gcloud(commands: list[str], folder: Path) -> list[dict[str, Any]]:
    """Returns what gcloud's parser says of each command."""
    file = folder / "commands.json"
    file.write_text(json.dumps([{"command_string": command} for command in commands]))
    process = subprocess.run(
        ["gcloud", "meta", "lint-gcloud-commands", f"--commands-file={file}"],
        env={**os.environ, "CLOUDSDK_CONFIG": str(folder), "CLOUDSDK_CORE_DISABLE_PROMPTS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr
    verdicts: list[dict[str, Any]] = json.loads(process.stdout)
    return verdicts


@MISSING["gcloud"]
def test_gcloud_takes_every_command(tmp_path: Path) -> None:
    # Each once: it answers for a repeated command once only.
    commands = list(dict.fromkeys(shlex.join(command.words) for command in commands_for("gcloud")))
    verdicts = parsed_by_gcloud(commands, tmp_path)
    assert [verdict["command_string"] for verdict in verdicts] == commands
    assert [v["error_message"] for v in verdicts if not v["success"]] == []


@MISSING["gcloud"]
@pytest.mark.parametrize(
    "wrong",
    [
        "gcloud storage buckets create gs://my-bucket --uniform-bucket-access",
        "gcloud artifacts repositories create ml --location=europe-west4",
        "gcloud iam service-account create movierec",
        "gcloud config set project",
    ],
)
def test_gcloud_refuses_what_is_wrong(wrong: str, tmp_path: Path) -> None:
    (verdict,) = parsed_by_gcloud([wrong], tmp_path)
    assert not verdict["success"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the files that commands name."""
    (tmp_path / "docs").mkdir()
    rights = "docs/training-job-rights.yaml"
    (tmp_path / rights).write_bytes((ROOT / rights).read_bytes())
    config = load_config(overrides=["kubernetes.model_location=gs://bucket/a/movierec"])
    render.write(render.render(config), tmp_path / "deploy")
    return tmp_path


def tried_by_kubectl(words: tuple[str, ...], folder: Path) -> str:
    """Returns what kubectl says, which cannot reach its server."""
    address = f"127.0.0.1:{free_port('127.0.0.1')}"
    process = subprocess.run(
        [words[0], f"--server=http://{address}", f"--cache-dir={folder / 'cache'}", *words[1:]],
        env={**os.environ, "KUBECONFIG": os.devnull},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert process.returncode
    return process.stderr.replace(address, "SERVER")


def is_parsed(said: str) -> bool:
    return "SERVER" in said and "refused" in said


@MISSING["kubectl"]
@pytest.mark.parametrize("command", commands_for("kubectl"), ids=str)
def test_kubectl_takes_every_command(command: Command, project: Path) -> None:
    said = tried_by_kubectl(command.words, project)
    assert is_parsed(said), said


@MISSING["kubectl"]
@pytest.mark.parametrize(
    "wrong",
    [
        "kubectl create namespace",
        "kubectl rollout statuses deployment/movierec",
        "kubectl rollout undo deployment/movierec --to=3",
        "kubectl apply --server-side -f deploy/missing.yaml",
    ],
)
def test_kubectl_refuses_what_is_wrong(wrong: str, project: Path) -> None:
    assert not is_parsed(tried_by_kubectl(tuple(wrong.split()), project))
