"""`movierec explore` in processes of its own."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.models.export.exported_models import export
from tests.movierec.cli.command import COMMAND, assert_refused, movierec
from tests.serving.pushed_versions import push


def test_without_a_pushed_model_there_is_nothing_to_explore(tmp_path: Path) -> None:
    result = movierec("explore", "--workspace", str(tmp_path))
    assert_refused(result, f"{tmp_path}/serving/movierec", "movierec run")


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    push(tmp_path / "serving" / "movierec", 1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = movierec(
            *("explore", "--workspace", str(tmp_path), "--port", port, "--target", "127.0.0.1:1")
        )
    assert_refused(result, f"127.0.0.1:{port}", "choose another port")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_pages_of_an_embedded_server_until_a_signal(tmp_path: Path, number: int) -> None:
    export("biased_mf", np.random.default_rng(1), tmp_path / "serving" / "movierec" / "3")
    command = [*COMMAND, "explore", "--workspace", str(tmp_path), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(
            r"the explorer is at (http://127\.0\.0\.1:\d+/) and asks an embedded model server at "
            r"127\.0\.0\.1:\d+\n",
            line,
        )
        assert found, line
        assert "Version <b>3</b> answers" in httpx.get(found[1]).text
        process.send_signal(number)
        rest, errors = process.communicate(timeout=60)
    assert (process.returncode, rest, errors) == (0, "", "")


@pytest.mark.slow
def test_a_server_that_does_not_answer_is_a_page(tmp_path: Path) -> None:
    push(tmp_path / "serving" / "movierec", 1)
    command = [
        *COMMAND,
        "explore",
        "--workspace",
        str(tmp_path),
        "--port=0",
        "--target=127.0.0.1:1",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"http\S+", process.stdout.readline())
        assert found
        answer = httpx.get(found[0], timeout=30)
        assert answer.status_code == 503
        assert "The model server does not answer" in answer.text
        assert "movierec serve" in answer.text
        process.terminate()
        assert process.wait(60) == 0
