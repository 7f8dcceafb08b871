import subprocess
import sys
from pathlib import Path

from tests.processes import runs
from tests.serving.asking import wait_until

ROOT = Path(__file__).parents[3]


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.serving.launch.spare_parent", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_it_does_what_it_is_told_with_its_own_input_and_output(tmp_path: Path) -> None:
    output, _ = start(str(tmp_path), "told").communicate()
    assert output == f"{b'one two words ' + str(b'').encode() + bytes([10])} 3 3\n"


def test_it_ends_when_it_is_told_nothing(tmp_path: Path) -> None:
    output, _ = start(str(tmp_path)).communicate()
    assert output == f"{b''} 0 0\n"


def test_it_does_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    with start(str(tmp_path), "killed") as parent:
        wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
        pid = int((tmp_path / "pid").read_text())
        assert runs(pid)
        parent.kill()
    wait_until(lambda: not runs(pid))
