import subprocess
import sys
from pathlib import Path

NOISY = """
import logging, os, sys
from pathlib import Path
from pipeline.run_log import redirected

with redirected(Path(sys.argv[1]), verbose=len(sys.argv) > 2) as screen:
    print("printed")
    os.write(2, b"written by C++\\n")
    logging.getLogger("absl").info("logged")
    print("for people", file=screen)
print("after")
"""


def run(log: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", NOISY, str(log), *arguments],
        capture_output=True,
        text=True,
        check=True,
    )


def test_noise_goes_to_the_file_and_the_rest_to_the_screen(tmp_path: Path) -> None:
    result = run(tmp_path / "log.txt")
    assert result.stdout == "after\n"
    assert result.stderr == "for people\n"
    log = (tmp_path / "log.txt").read_text()
    for noise in ("printed", "written by C++", "INFO absl: logged"):
        assert noise in log
    assert "for people" not in log


def test_verbose_shows_all_and_keeps_the_logs(tmp_path: Path) -> None:
    result = run(tmp_path / "log.txt", "verbose")
    assert result.stdout == "printed\nafter\n"
    for noise in ("written by C++", "INFO absl: logged", "for people"):
        assert noise in result.stderr
    assert "INFO absl: logged" in (tmp_path / "log.txt").read_text()


def test_nothing_is_logged_to_the_file_once_it_is_closed(tmp_path: Path) -> None:
    code = NOISY + "logging.getLogger('later').warning('later')\n"
    for arguments in ([], ["verbose"]):
        log = tmp_path / f"{len(arguments)}.txt"
        result = subprocess.run(
            [sys.executable, "-c", code, str(log), *arguments],
            capture_output=True,
            text=True,
            check=True,
        )
        assert "later" not in log.read_text()
        # Logging shows a handler's own error as a traceback.
        assert "Traceback" not in result.stderr
        assert result.stderr.splitlines()[-1].endswith("WARNING later: later")
