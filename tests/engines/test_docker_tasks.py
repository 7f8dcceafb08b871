"""Small tasks of compiled jobs, each in a container of a real Docker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kubeflow.local_execution import containers, job_file, platforms, runner
from kubeflow.local_execution.outcome import Result, State
from kubeflow.storage import locations
from pipeline.workspace import Workspace
from tests.engines import docker_engine
from tests.engines.docker_engine import done
from tests.kubeflow.compiled_jobs import KFP, VERTEX, Job

REASON = docker_engine.missing()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(REASON is not None, reason=str(REASON)),
]


@pytest.fixture(scope="module")
def image() -> str:
    return docker_engine.image()


def run(job: Job, image: str, folder: Path) -> Result:
    for executor in job.executors.values():
        executor["container"]["image"] = image
    workspace = Workspace(folder / "ws")
    compiled = job_file.read(job.write(folder))
    places = locations.parse(runner.remote_folder(workspace), [])
    options = runner.Options(
        platform=platforms.find(compiled.schema, None),
        parameters=compiled.parameters,
        locations=places,
        jobs=1,
        use_cache=False,
        containers=containers.find([image], runner.shared_folders(workspace, places)),
    )
    return runner.run(compiled, workspace, options, lambda _task, _outcome: None)


@pytest.mark.parametrize("schema", [KFP, VERTEX])
def test_artifacts_pass_from_container_to_container(
    schema: str, image: str, tmp_path: Path
) -> None:
    job = Job(schema)
    job.add(
        "writes",
        "place(made('model')['uri'] + '/weights').write_text('7')\n"
        # What the launchers of a cluster have, and nothing that this machine has.
        "assert mount == '/gcs/', mount\n"
        "assert os.environ['TMPDIR'] == '/tmp'\n"
        "assert os.listdir('/sys/class/net') == ['lo']\n"
        "import kubeflow.steps\n"
        "assert kubeflow.steps.__file__.startswith('/opt/movierec/')\n",
        makes={"model": {}},
    )
    job.add(
        "reads",
        "text = place(taken('model')['uri'] + '/weights').read_text()\n"
        "place(made('copy')['uri'] + '/weights').write_text(text * 2)\n",
        artifacts={"model": ("writes", "model")},
        makes={"copy": {}},
    )
    result = run(job, image, tmp_path)
    failures = [outcome.failure for outcome in result.outcomes.values() if outcome.failure]
    assert failures == []
    told = json.loads((result.folder / "tasks.json").read_text(encoding="utf-8"))
    copy = Path(told["reads"]["artifacts"]["copy"]["uri"])
    assert (copy / "weights").read_text(encoding="utf-8") == "77"
    # Nothing outlives its task.
    assert done("ps", "--all", "--quiet", "--filter", "name=movierec-").split() == []


def test_a_task_that_fails_says_why(image: str, tmp_path: Path) -> None:
    job = Job(KFP).add("only", "open('/etc/anything', 'w')\n", makes={"model": {}})
    result = run(job, image, tmp_path)
    assert result.tasks(State.FAILED) == ["only"]
    failure = str(result.outcomes["only"].failure)
    assert "exit code 1" in failure
    assert "Read-only file system" in failure or "Permission denied" in failure
