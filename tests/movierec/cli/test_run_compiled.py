import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from movierec.cli.run_compiled import interrupted_by_signals
from tests.kubeflow.compiled_jobs import KFP, VERTEX, Job
from tests.movierec.cli.command import COMMAND, assert_refused, imported_by, movierec


def run_job(job: Path, workspace: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return movierec("run-compiled", str(job), "--workspace", str(workspace), *arguments)


@pytest.mark.parametrize("schema", [VERTEX, KFP])
def test_a_job_from_the_command_line(schema: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("ratings", encoding="utf-8")
    job = Job(schema, data="gs://data", epochs=5)
    job.add(
        "first",
        "folder = dict(stand_in['mapped'])[sys.argv[2]]\n"
        "print(pathlib.Path(folder, 'file').read_text(), sys.argv[3])\n",
        parameters={"data": "data", "epochs": "epochs"},
        arguments=(
            "{{$}}",
            "{{$.inputs.parameters['data']}}",
            "{{$.inputs.parameters['epochs']}}",
        ),
        cachingOptions={"enableCache": True},
    )
    job.add("second", dependentTasks=["first"])
    path = job.write(tmp_path)
    options = ["--map", f"gs://data={tmp_path / 'data'}", "--parameter", "epochs=6", "--jobs", "2"]
    result = run_job(path, tmp_path / "ws", *options)
    assert result.returncode == 0, result.stderr
    assert [line.split()[0] for line in result.stderr.splitlines()] == ["first", "second"]
    assert all(line.endswith(" s") for line in result.stderr.splitlines())
    assert result.stdout.startswith("2 done in ")
    (run,) = (tmp_path / "ws" / "runs").iterdir()
    assert (run / "first.log").read_text("utf-8") == "ratings 6\n"
    again = run_job(path, tmp_path / "ws", *options)
    assert again.stderr.splitlines()[0].split() == ["first", "cached"]
    assert again.stdout.startswith("1 done, 1 cached in ")


@pytest.mark.parametrize("schema", [VERTEX, KFP])
@pytest.mark.parametrize(
    ("metadata", "line", "code"),
    [
        ({"pushed": 1, "pushed_destination": "/models/7"}, "pushed: /models/7", 0),
        ({"pushed": 0}, "not pushed: ", 2),
    ],
)
def test_it_tells_what_was_pushed(
    schema: str, metadata: dict[str, object], line: str, code: int, tmp_path: Path
) -> None:
    said = f"tell(artifacts={{'m': {{'artifacts': [made('m') | {{'metadata': {metadata}}}]}}}})"
    job = Job(schema).add("pusher", said, makes={"m": {}})
    result = run_job(job.write(tmp_path), tmp_path / "ws")
    assert result.returncode == code, result.stderr
    assert result.stdout.splitlines()[-1].startswith(line)


def test_what_is_made_needs_no_metadata(tmp_path: Path) -> None:
    job = Job(KFP).add("only", makes={"model": {}})
    del job.components["comp-only"]["outputDefinitions"]["artifacts"]["model"]["metadata"]
    result = run_job(job.write(tmp_path), tmp_path / "ws")
    assert (result.returncode, len(result.stderr.splitlines())) == (0, 1), result.stderr
    assert result.stdout.startswith("1 done in ")


@pytest.mark.parametrize("schema", [VERTEX, KFP])
def test_another_root_takes_artifacts_and_the_push_folder_along(
    schema: str, tmp_path: Path
) -> None:
    folders = {"pipeline_root": "gs://bucket/root", "push": "gs://bucket/root/serving/movierec"}
    job = Job(schema, **folders)
    job.add(
        "only",
        "print(sys.argv[2])\nplace(made('model')['uri']).write_text('1')\n",
        parameters={"push": "push"},
        makes={"model": {}},
        arguments=("{{$}}", "{{$.inputs.parameters['push']}}"),
    )
    workspace = tmp_path / "ws"
    result = run_job(job.write(tmp_path), workspace, "--parameter", "pipeline_root=gs://test/it/")
    assert result.returncode == 0, result.stderr
    (run,) = (workspace / "runs").iterdir()
    moved = workspace / "locations" / "gs" / "test" / "it"
    assert (run / "only.log").read_text("utf-8") == "gs://test/it/serving/movierec\n"
    (made,) = (path for path in moved.rglob("model") if path.is_file())
    assert made.is_relative_to(moved / "small" / run.name / "only")
    assert not (workspace / "locations" / "gs" / "bucket").exists()


def test_a_failure_is_exit_code_1_and_says_why(tmp_path: Path) -> None:
    job = Job(KFP).add("bad", "sys.exit('no ratings here')").add("after", dependentTasks=["bad"])
    result = run_job(job.write(tmp_path), tmp_path / "ws")
    assert result.returncode == 1
    ended, why, summary = result.stderr.splitlines()
    assert ended.split() == ["bad", "failed"]
    assert why.startswith("movierec: bad: exit code 1: no ratings here; its log is ")
    assert re.fullmatch(r"movierec: failed: bad; .*: after", summary)
    assert result.stdout.startswith("1 failed, 1 not run in ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--parameter", "epochs"], "--parameter epochs: "),
        (["--parameter", "steps=3"], "--parameter steps: "),
        (["--parameter", "epochs=x"], "--parameter epochs=x: "),
        (["--parameter", "epochs=-3"], "--parameter epochs=-3: "),
        (["--parameter", "max_rmse=nan"], "--parameter max_rmse=nan: "),
        (["--parameter", "max_rmse=0"], "--parameter max_rmse=0: "),
        (["--map", "bucket=/x"], "--map bucket=/x: "),
        (["--jobs", "0"], "--jobs"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    job = Job(KFP, epochs=5, max_rmse=0.9).add("only").write(tmp_path)
    assert_refused(run_job(job, tmp_path / "ws", *arguments), message)
    assert not (tmp_path / "ws").exists()


@pytest.mark.parametrize("content", [None, "{", "schemaVersion: 9.9.9\n"])
def test_a_file_that_is_no_job_is_one_line(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    assert_refused(run_job(path, tmp_path / "ws"), str(path))
    assert not (tmp_path / "ws").exists()


def test_a_job_whose_beam_works_elsewhere_is_one_line_and_nothing_is_written(
    tmp_path: Path,
) -> None:
    job = Job(KFP).add("far", arguments=("{{$}}", "--runner=DataflowRunner")).write(tmp_path)
    assert_refused(run_job(job, tmp_path / "ws"), f"{job}: task far: ")
    assert not (tmp_path / "ws").exists()


@contextmanager
def inheriting(number: signal.Signals, disposition: signal.Handlers) -> Iterator[None]:
    """What started processes do on a signal, whoever runs the tests: nohup, or a shell's job."""
    earlier = signal.signal(number, disposition)
    try:
        yield
    finally:
        signal.signal(number, earlier)


@contextmanager
def started(script: str, folder: Path, before: str = "") -> Iterator[subprocess.Popen[str]]:
    """The command, once its task has written its process id to `pid` and goes on by a script."""
    pid_file = folder / "pid"
    job = Job(KFP).add(
        "long",
        f"{before}path = pathlib.Path({str(pid_file)!r})\n"
        "path.with_suffix('.part').write_text(str(os.getpid()))\n"
        f"path.with_suffix('.part').rename(path)\n{script}\n",
    )
    command = [*COMMAND, "run-compiled", str(job.write(folder)), "--workspace", str(folder / "ws")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not pid_file.exists():
            assert process.poll() is None
            time.sleep(0.01)
        yield process


def ends_with_its_tasks(process: subprocess.Popen[str], folder: Path) -> None:
    """Asserts that the interrupted command says so and that its task is no more."""
    _, said = process.communicate()
    assert process.returncode == 130
    (line,) = said.splitlines()
    assert line.startswith("movierec: interrupted; ")
    with pytest.raises(ProcessLookupError):
        os.kill(int((folder / "pid").read_text("utf-8")), 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_tasks(number: signal.Signals, tmp_path: Path) -> None:
    with inheriting(number, signal.SIG_DFL), started("time.sleep(600)", tmp_path) as process:
        process.send_signal(number)
        ends_with_its_tasks(process, tmp_path)


def test_under_nohup_a_run_outlives_its_terminal(tmp_path: Path) -> None:
    waits = f"while not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.01)"
    with inheriting(signal.SIGHUP, signal.SIG_IGN), started(waits, tmp_path) as process:
        process.send_signal(signal.SIGHUP)
        (tmp_path / "go").touch()
        _, said = process.communicate()
    assert process.returncode == 0, said


def test_a_second_interrupt_kills_the_tasks(tmp_path: Path) -> None:
    told = tmp_path / "told"
    ignores = (
        "import signal\n"
        f"signal.signal(signal.SIGTERM, lambda *_: pathlib.Path({str(told)!r}).touch())\n"
    )
    script = "while True: time.sleep(600)"
    with (
        inheriting(signal.SIGINT, signal.SIG_DFL),
        started(script, tmp_path, before=ignores) as process,
    ):
        process.send_signal(signal.SIGINT)
        while not told.exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        ends_with_its_tasks(process, tmp_path)


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_second_signal_does_not_keep_the_tasks_from_being_ended(first: signal.Signals) -> None:
    impatient = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    with ExitStack() as inherited:
        for number in numbers:
            inherited.enter_context(inheriting(number, signal.SIG_DFL))
        with interrupted_by_signals(impatient):
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(first)
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGTERM)
            assert not impatient.is_set()
            for _ in range(2):
                signal.raise_signal(signal.SIGINT)
                assert impatient.is_set()
        assert [signal.getsignal(number) for number in numbers] == [signal.SIG_DFL] * 3


def test_nothing_heavy_is_imported(tmp_path: Path) -> None:
    job = Job(VERTEX).add("only").write(tmp_path)
    code, modules = imported_by("run-compiled", str(job), "--workspace", str(tmp_path / "ws"))
    assert code == 0
    heavy = {"tensorflow", "tfx", "kfp", "numpy", "pyarrow", "apache_beam", "grpc"}
    assert not heavy & modules
