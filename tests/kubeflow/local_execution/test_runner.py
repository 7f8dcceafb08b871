import json
import math
import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from kfp.pipeline_spec import pipeline_spec_pb2

from kubeflow.local_execution import executor_messages, job_file, platforms, runner, task_process
from kubeflow.local_execution.outcome import TASKS_FILE, Outcome, Result, State
from kubeflow.storage import locations
from pipeline import code_fingerprint
from pipeline.config.errors import UserError
from pipeline.workspace import Workspace
from tests import processes
from tests.kubeflow.compiled_jobs import KFP, VERTEX, Job
from tests.serving.asking import wait_until

both_schemas = pytest.mark.parametrize("schema", [VERTEX, KFP])
CACHED = {"cachingOptions": {"enableCache": True}}
WRITES = "place(made('model')['uri'] + '/weights').write_text('1')\n"


def run(
    job: Job,
    folder: Path,
    jobs: int = 1,
    cached: bool = True,
    version: str | None = None,
    has_root: bool = True,
    **given: str,
) -> Result:
    workspace = Workspace(folder / "ws")
    path = job.write(folder)
    if not has_root:
        path.write_text(path.read_text("utf-8").replace("defaultPipelineRoot", "other"), "utf-8")
    compiled = job_file.read(path)
    options = runner.Options(
        platform=platforms.find(compiled.schema, version),
        parameters=job_file.with_parameters(compiled, given),
        locations=locations.parse(runner.remote_folder(workspace), []),
        jobs=jobs,
        use_cache=cached,
    )
    return runner.run(compiled, workspace, options, lambda _task, _outcome: None)


def states(result: Result) -> dict[str, str]:
    return {name: outcome.state.value for name, outcome in result.outcomes.items()}


def outcome(result: Result, task: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((result.folder / TASKS_FILE).read_text("utf-8"))[task]
    return content


def answer(schema: str, name: str) -> str:
    """What a task says of a parameter that is declared as usual in its schema."""
    if schema == KFP:
        return f"parameterValues={{{name!r}: 'hello'}}"
    return f"parameters={{{name!r}: {{'stringValue': 'hello'}}}}"


def shown(result: Result, task: str) -> Any:
    """The ExecutorInput that a task printed."""
    return json.loads((result.folder / f"{task}.log").read_text("utf-8"))


@pytest.mark.parametrize(
    ("schema", "version"), [(VERTEX, None), (KFP, "2.5.0"), (KFP, "2.14.0"), (KFP, None)]
)
def test_a_task_is_told_what_a_launcher_tells(
    schema: str, version: str | None, tmp_path: Path
) -> None:
    job = Job(schema, epochs=5, rate=0.5, data="gs://data/here")
    job.add(
        "only",
        "print(json.dumps(given))",
        constants={
            "config": "{\"n\": {{$.inputs.parameters['pipelinechannel--epochs']}}, "
            '"at": "{{$.inputs.parameters[\'pipelinechannel--data\']}}/x"}',
            "whole": 7,
        },
        parameters={
            "pipelinechannel--epochs": "epochs",
            "pipelinechannel--data": "data",
            "rate": "rate",
        },
        makes={"model": {"size": 3}},
    )
    result = run(job, tmp_path, version=version)
    assert states(result) == {"only": "done"}
    told = shown(result, "only")
    data = "gs://data/here"
    if schema == KFP:
        # Newer launchers put the message into the command before they replace placeholders there.
        values = told["inputs"]["parameterValues"]
        unfilled = (
            "{\"n\": {{$.inputs.parameters['pipelinechannel--epochs']}}, "
            '"at": "{{$.inputs.parameters[\'pipelinechannel--data\']}}/x"}'
        )
        assert values == {
            "config": unfilled if version == "2.5.0" else f'{{"n": 5, "at": "{data}/x"}}',
            "whole": 7,
            "pipelinechannel--epochs": 5,
            "pipelinechannel--data": data,
            "rate": 0.5,
        }
        # As protobuf writes doubles.
        assert {type(value) for value in (values["whole"], values["rate"])} == {int, float}
        assert set(told["inputs"]) == {"parameterValues"}
        assert set(told["outputs"]) == {"artifacts", "outputFile"}
    else:
        assert told["inputs"]["parameters"] == {
            "config": {"stringValue": f'{{"n": 5, "at": "{data}/x"}}'},
            "whole": {"intValue": "7"},
            "pipelinechannel--epochs": {"intValue": "5"},
            "pipelinechannel--data": {"stringValue": data},
            "rate": {"doubleValue": 0.5},
        }
    home = f"bucket/root/small/{result.folder.name}/only"
    (made,) = told["outputs"]["artifacts"]["model"]["artifacts"]
    assert made["type"] == {"instanceSchema": "title: tfx.Model\ntype: object\n"}
    assert made["metadata"] == {"size": 3}
    assert made["uri"].startswith(f"gs://{home}/")
    if schema == VERTEX:
        assert made["name"] == f"{result.folder.name}/only/model"
        assert made["uri"] == f"gs://{home}/model"
        assert told["outputs"]["outputFile"].endswith(f"/gcs/{home}/executor_output.json")


# From the sources of the driver (`provisionOutputs`): since when there is which.
@pytest.mark.parametrize(
    ("version", "folders", "logs", "name", "output"),
    [
        ("2.3.0", 0, None, None, "/tmp/kfp_outputs/output_metadata.json"),
        ("2.4.1", 1, None, None, "/tmp/kfp_outputs/output_metadata.json"),
        ("2.5.0", 1, "executor-logs", None, "/tmp/kfp_outputs/output_metadata.json"),
        ("2.14.4", 1, "executor-logs", None, "/tmp/kfp_outputs/output_metadata.json"),
        ("2.15.0", 1, "executor-logs", "model", "/gcs/{home}/output_metadata.json"),
        ("2.16.1", 1, "executor-logs-0", "model", "/gcs/{home}/output_metadata.json"),
        ("2.17.0", 1, "executor-logs-0", "model", "/gcs/{home}/output_metadata.json"),
        (None, 1, "executor-logs-0", "model", "/gcs/{home}/output_metadata.json"),
    ],
)
def test_a_task_is_told_what_the_driver_of_a_release_tells(
    version: str | None,
    folders: int,
    logs: str | None,
    name: str | None,
    output: str,
    tmp_path: Path,
) -> None:
    script = "print(json.dumps(given))\ntell(parameterValues={'n': 1})\n"
    job = Job(KFP).add("only", script, makes={"model": {}}, returns={"n": int})
    result = run(job, tmp_path, version=version)
    assert states(result) == {"only": "done"}
    told = shown(result, "only")["outputs"]
    (made,) = told["artifacts"]["model"]["artifacts"]
    home, _, key = made["uri"].removeprefix("gs://").rpartition("/")
    assert key == "model"
    between = home.removeprefix(f"bucket/root/small/{result.folder.name}/only")
    assert between.count("/") == folders
    assert made.get("name") == name
    assert told["outputFile"].endswith(output.format(home=home))
    assert told["parameters"]["n"]["outputFile"].endswith("/tmp/kfp/outputs/n")
    assert ("executor-logs" in told["artifacts"]) is (logs is not None)
    if logs:
        (added,) = told["artifacts"]["executor-logs"]["artifacts"]
        assert added["type"] == {"schemaTitle": "system.Artifact"}
        assert added["uri"] == f"gs://{home}/{logs}"
    assert set(outcome(result, "only")["artifacts"]) == {"model"}


def test_a_launcher_copies_files_alone_to_a_new_machine_for_each_task(tmp_path: Path) -> None:
    job = Job(KFP)
    job.add(
        "first",
        "place(made('model')['uri'] + '/full/weights').write_text('1')\n"
        "place(made('model')['uri'] + '/empty/x')\n"
        "place('gs://bucket/beside/x').write_text('1')\n"
        "pathlib.Path(os.environ['TMPDIR'], 'x').write_text('1')\n",
        makes={"model": {}},
    )
    job.add(
        "second",
        "paths = [pathlib.Path(mount), pathlib.Path(os.environ['TMPDIR'])]\n"
        "print(json.dumps([taken('model')['uri'], "
        "[str(p.relative_to(root)) for root in paths for p in root.rglob('*')]]))\n",
        artifacts={"model": ("first", "model")},
    )
    result = run(job, tmp_path)
    uri, there = shown(result, "second")
    model = uri.removeprefix("gs://")
    assert f"{model}/full/weights" in there
    assert not [path for path in there if Path(path).name in {"x", "empty", "beside"}]
    bucket = tmp_path / "ws" / "locations" / "gs"
    written = {path.relative_to(bucket).as_posix() for path in bucket.rglob("*") if path.is_file()}
    assert written == {f"{model}/full/weights"}


def test_a_task_of_vertex_ai_writes_on_no_mount(tmp_path: Path) -> None:
    job = Job(VERTEX).add(
        "only",
        "path = pathlib.Path(mount, 'bucket')\npath.parent.chmod(0o755)\npath.write_text('1')\n",
    )
    failure = run(job, tmp_path).outcomes["only"].failure
    assert failure is not None
    assert "it wrote /gcs/bucket; " in failure


def test_metadata_comes_back_as_the_store_of_kubeflow_keeps_it(tmp_path: Path) -> None:
    said = {"n": 3, "part": 0.25, "small": 1e-7, "large": 6180000000000000123, "yes": True}
    said |= {"list": [1], "struct": {"a": 1}, "text": "t"}
    job = Job(KFP)
    job.add(
        "first",
        f"tell(artifacts={{'model': {{'artifacts': [{{'metadata': {said!r}, "
        "'properties': {'a': {'intValue': '1'}}, 'customProperties': {}}]}})",
        makes={"model": {}},
    )
    job.add("second", "print(json.dumps(given))", artifacts={"taken": ("first", "model")})
    result = run(job, tmp_path)
    (record,) = shown(result, "second")["inputs"]["artifacts"]["taken"]["artifacts"]
    kept = {key: value for key, value in record["metadata"].items() if key in said}
    assert kept == {
        "n": 3,
        "part": 0.25,
        "small": 0,
        # The nearest double; its neighbours are 1024 away.
        "large": 6180000000000000000,
        "yes": 1,
        "list": {"list": [1]},
        "struct": {"struct": {"a": 1}},
        "text": "t",
    }
    assert [type(kept[name]) for name in ("n", "small", "yes")] == [int] * 3
    assert not {"properties", "customProperties"} & record.keys()
    assert record["metadata"]["display_name"] == "model"


@pytest.mark.parametrize(
    ("schema", "version"), [(VERTEX, "2.5.0"), (KFP, "2.2.0"), (KFP, "2.18.0"), (KFP, "2.5")]
)
def test_a_release_that_is_not_known_is_refused(schema: str, version: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"--platform-version {version}: "):
        run(Job(schema).add("only"), tmp_path, version=version)


@both_schemas
def test_what_comes_back_goes_on(schema: str, tmp_path: Path) -> None:
    job = Job(schema)
    job.add(
        "first",
        "answer = {k: v for k, v in made('model').items() if k != 'type'}\n"
        "answer['metadata'] = {'size': 4, 'blessed': 1}\n"
        f"tell(artifacts={{'model': {{'artifacts': [answer]}}}}, {answer(schema, 'said')})\n"
        "place(outputs['parameters']['written']['outputFile']).write_text('6')\n",
        makes={"model": {"size": 3, "kept": "yes"}},
        returns={"said": str, "written": int},
    )
    job.add(
        "second",
        "print(json.dumps(given))",
        returned={"said": ("first", "said")},
        artifacts={"taken": ("first", "model")},
    )
    result = run(job, tmp_path)
    assert states(result) == {"first": "done", "second": "done"}
    told = shown(result, "second")["inputs"]
    (record,) = told["artifacts"]["taken"]["artifacts"]
    metadata = {"size": 4, "kept": "yes", "blessed": 1}
    assert metadata.items() <= record["metadata"].items()
    kept = outcome(result, "first")["artifacts"]["model"]
    assert record["name"] == kept["name"]
    assert kept["type"] == {"instanceSchema": "title: tfx.Model\ntype: object\n"}
    if schema == KFP:
        # The driver has the number of the artifact in the metadata store, and no type.
        assert record["name"].isdecimal()
        assert int(record["name"]) < 2**63
        assert record["type"] == {"instanceSchema": ""}
    else:
        assert record["name"] == f"{result.folder.name}/first/model"
        assert record["type"] == kept["type"]
    said = told["parameterValues" if schema == KFP else "parameters"]["said"]
    assert said == ("hello" if schema == KFP else {"stringValue": "hello"})
    assert outcome(result, "first")["parameters"] == {"said": "hello", "written": 6}


@pytest.mark.parametrize(
    ("schema", "declared", "answered"),
    [
        (VERTEX, "type", "parameters"),
        # As TFX declares it, whose executor answers so in both schemas.
        (VERTEX, "parameterType", "parameterValues"),
        (KFP, "parameterType", "parameterValues"),
    ],
)
def test_a_parameter_comes_back_in_the_form_it_is_declared_in(
    schema: str, declared: str, answered: str, tmp_path: Path
) -> None:
    answers = {
        "parameters": "parameters={'said': {'stringValue': 'hello'}}",
        "parameterValues": "parameterValues={'said': 'hello'}",
    }
    for form, said in answers.items():
        job = Job(schema).add("first", f"tell({said})", returns={"said": str})
        definitions = job.components["comp-first"]["outputDefinitions"]["parameters"]
        definitions["said"] = {declared: "STRING"}
        job.add("second", "print(json.dumps(given))", returned={"said": ("first", "said")})
        result = run(job, tmp_path)
        if form == answered:
            told = shown(result, "second")["inputs"]
            if schema == KFP:
                assert told["parameterValues"] == {"said": "hello"}
            else:
                assert told["parameters"] == {"said": {"stringValue": "hello"}}
        else:
            assert states(result) == {"first": "failed", "second": "not run"}
            failure = result.outcomes["first"].failure
            assert failure is not None
            assert "it did not return its parameter said" in failure


def test_no_two_artifacts_of_kubeflow_have_one_name(tmp_path: Path) -> None:
    job = Job(KFP)
    job.add("one", makes={"model": {}, "other": {}}).add("two", makes={"model": {}})
    runs = [run(job, tmp_path), run(job, tmp_path)]
    names = [
        record["name"]
        for result in runs
        for task in ("one", "two")
        for record in outcome(result, task)["artifacts"].values()
    ]
    assert len(set(names)) == 6


def test_order_is_by_artifacts_parameters_and_dependencies(tmp_path: Path) -> None:
    def note(name: str) -> str:
        return f"open({str(tmp_path / 'order')!r}, 'a').write({name!r} + '\\n')\n"

    job = Job(KFP)
    job.add("last", note("last"), dependentTasks=["third"])
    job.add("third", note("third"), returned={"word": ("second", "word")})
    job.add(
        "second",
        note("second") + "tell(parameterValues={'word': 'x'})",
        artifacts={"model": ("first", "model")},
        returns={"word": str},
    )
    job.add("first", note("first"), makes={"model": {}})
    assert set(states(run(job, tmp_path, jobs=4)).values()) == {"done"}
    order = (tmp_path / "order").read_text("utf-8").split()
    assert order == ["first", "second", "third", "last"]


def test_independent_tasks_run_together(tmp_path: Path) -> None:
    def meets(own: str, other: str) -> str:
        return (
            f"pathlib.Path({str(tmp_path)!r}, {own!r}).touch()\n"
            f"while not pathlib.Path({str(tmp_path)!r}, {other!r}).exists(): time.sleep(0.01)\n"
        )

    job = Job(KFP).add("one", meets("a", "b")).add("two", meets("b", "a"))
    assert states(run(job, tmp_path, jobs=2)) == {"one": "done", "two": "done"}


def test_one_job_is_one_task_at_a_time(tmp_path: Path) -> None:
    alone = (
        f"own = pathlib.Path({str(tmp_path / 'running')!r})\n"
        "own.mkdir()\ntime.sleep(0.05)\nown.rmdir()\n"
    )
    job = Job(KFP).add("one", alone).add("two", alone).add("three", alone)
    assert set(states(run(job, tmp_path)).values()) == {"done"}


def cached_chain(schema: str, script: str = WRITES) -> Job:
    job = Job(schema, epochs=5)
    job.add("first", script, parameters={"epochs": "epochs"}, makes={"model": {}}, **CACHED)
    return job.add("second", artifacts={"model": ("first", "model")}, **CACHED)


@both_schemas
def test_what_was_made_is_not_made_again(schema: str, tmp_path: Path) -> None:
    first = run(cached_chain(schema), tmp_path)
    assert states(first) == {"first": "done", "second": "done"}
    again = run(cached_chain(schema), tmp_path)
    assert states(again) == {"first": "cached", "second": "cached"}
    assert outcome(again, "first")["artifacts"] == outcome(first, "first")["artifacts"]


def test_what_changed_is_made_again_with_all_after_it(tmp_path: Path) -> None:
    run(cached_chain(KFP), tmp_path)
    made_again = {"first": "done", "second": "done"}
    assert states(run(cached_chain(KFP), tmp_path, epochs="6")) == made_again
    assert states(run(cached_chain(KFP, WRITES + "\n"), tmp_path)) == made_again
    assert states(run(cached_chain(KFP), tmp_path, cached=False)) == made_again
    image = cached_chain(KFP)
    image.executors["exec-first"]["container"]["image"] = "registry.example/movierec:2"
    assert states(run(image, tmp_path)) == made_again
    assert states(run(cached_chain(KFP), tmp_path)) == {"first": "cached", "second": "cached"}


@pytest.mark.parametrize(
    "named",
    [
        {"arguments": ("{{$}}", "--executor_class_path", "components.step.executor.Executor")},
        {"constants": {"run_fn": "components.step.executor.run"}},
        {"constants": {"metrics": '{"of": [{"module": "components.step.executor"}]}'}},
    ],
)
def test_what_other_code_made_is_made_again(
    named: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code is a tree of its own: what is installed stays as it is."""
    step, models = tmp_path / "code" / "components" / "step", tmp_path / "code" / "models"
    for folder in (step, models):
        folder.mkdir(parents=True)
    (step / "executor.py").write_text("from models import helper\n", encoding="utf-8")
    for name in ("helper", "other"):
        (models / f"{name}.py").touch()
    monkeypatch.setattr(code_fingerprint, "_ROOT", tmp_path / "code")
    job = Job(KFP).add("only", **named, **CACHED)
    assert states(run(job, tmp_path)) == {"only": "done"}
    (models / "other.py").write_text("EDITED = True\n", encoding="utf-8")
    assert states(run(job, tmp_path)) == {"only": "cached"}
    # What the executor imports is its code, too.
    for edited in (step / "executor.py", models / "helper.py"):
        with edited.open("a", encoding="utf-8") as file:
            file.write("EDITED = True\n")
        assert states(run(job, tmp_path)) == {"only": "done"}
    assert states(run(job, tmp_path)) == {"only": "cached"}


def test_what_is_gone_is_made_again(tmp_path: Path) -> None:
    first = run(cached_chain(KFP), tmp_path)
    shutil.rmtree(outcome(first, "first")["artifacts"]["model"]["uri"])
    assert states(run(cached_chain(KFP), tmp_path)) == {"first": "done", "second": "done"}


@pytest.mark.parametrize(("has_root", "state"), [(True, "cached"), (False, "done")])
def test_nothing_is_read_from_the_place_of_which_a_workspace_is_a_copy(
    has_root: bool, state: str, tmp_path: Path
) -> None:
    """Artifacts in buckets are in the copy; others have paths of the old place."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    run(cached_chain(KFP), old, has_root=has_root)
    shutil.copytree(old, new)
    result = run(cached_chain(KFP), new, has_root=has_root)
    # Where a task finds its artifacts is part of what it is given.
    assert states(result) == {"first": state, "second": "done"}
    assert str(old) not in (result.folder / TASKS_FILE).read_text("utf-8")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b"{}", b'{"artifacts": {}}'])
def test_a_damaged_entry_of_the_cache_is_none(content: bytes, tmp_path: Path) -> None:
    run(cached_chain(KFP), tmp_path)
    for entry in (tmp_path / "ws" / "cache").iterdir():
        entry.write_bytes(content)
    assert states(run(cached_chain(KFP), tmp_path)) == {"first": "done", "second": "done"}


def test_without_leave_nothing_is_cached(tmp_path: Path) -> None:
    job = Job(KFP).add("only")
    run(job, tmp_path)
    assert states(run(job, tmp_path)) == {"only": "done"}


def test_a_failed_task_stops_what_comes_after_it_alone(tmp_path: Path) -> None:
    job = Job(KFP)
    job.add("bad", "print('so far')\nsys.exit('no ratings here')", makes={"model": {}})
    job.add("after", artifacts={"model": ("bad", "model")})
    job.add("later", dependentTasks=["after"])
    job.add("other")
    result = run(job, tmp_path)
    assert states(result) == {
        "bad": "failed",
        "after": "not run",
        "later": "not run",
        "other": "done",
    }
    failure = result.outcomes["bad"].failure
    assert failure == f"bad: exit code 1: no ratings here; its log is {result.folder / 'bad.log'}"


@pytest.mark.parametrize(
    ("schema", "script", "command", "message"),
    [
        (KFP, "os.kill(os.getpid(), 9)", None, "ended by SIGKILL: it printed nothing"),
        (
            KFP,
            "print('movierec: first\\nmovierec: bad rows\\n  movie 1')\nsys.exit('at exit')",
            None,
            "exit code 1: bad rows; its log is ",
        ),
        (KFP, "sys.exit('see movierec: there')", None, "exit code 1: see movierec: there; its"),
        (KFP, "", ["no-such-program"], "no-such-program cannot be started here: No such file"),
        (KFP, "", ["python", "{{$.nothing}}"], "{{$.nothing}}: no such placeholder"),
        (KFP, "place(outputs['outputFile']).write_text('{')", None, "output is no JSON"),
        (KFP, "", None, "it did not return its parameter count"),
        # Kubeflow does not look there.
        (KFP, "tell(parameters={'count': {'intValue': '1'}})", None, "it did not return its"),
        (VERTEX, "tell(parameters={'count': {'x': 1}})", None, "is none of stringValue"),
        (KFP, "tell(artifacts={'model': {'artifacts': [1]}})", None, "1; expected a mapping"),
        # A launcher's parser is strict.
        (KFP, "tell(other=1)", None, "executor output: has other; expected none but artifacts, "),
        (KFP, "tell(artifacts={'model': {'uri': 'x'}})", None, "artifacts.model: has uri; "),
        (KFP, "tell(artifacts={'model': {'artifacts': [{'id': 1}]}})", None, "has id; expected"),
        (
            KFP,
            "tell(artifacts={'model': {'artifacts': [{'uri': 'gs://bucket/root/small'}]}})",
            None,
            "model: reported at gs://bucket/root/small, which",
        ),
        (
            KFP,
            "tell(artifacts={'model': {'artifacts': [{'uri': '/here'}]}})",
            None,
            "model: reported at /here, which the launcher cannot upload; expected an address below "
            "gs://bucket/root/small/",
        ),
        (
            KFP,
            "tell(parameterValues={'count': 1})\nplace(made('model')['uri'] + '/real/x')\n"
            "model = place(made('model')['uri'])\n(model / 'link').symlink_to(model / 'real')\n",
            None,
            "/model/link: a link to a folder, which the launcher cannot copy",
        ),
    ],
)
def test_why_a_task_failed(
    schema: str, script: str, command: list[str] | None, message: str, tmp_path: Path
) -> None:
    job = Job(schema).add("bad", script, makes={"model": {}}, returns={"count": int})
    if command:
        job.executors["exec-bad"]["container"]["command"] = command
    failure = run(job, tmp_path).outcomes["bad"].failure
    assert failure is not None
    assert failure.startswith("bad: ")
    assert message in failure
    assert "\n" not in failure


def test_a_task_is_run_again_as_often_as_the_file_says(tmp_path: Path) -> None:
    counts = (
        f"path = pathlib.Path({str(tmp_path / 'attempts')!r})\n"
        "tries = int(path.read_text()) + 1 if path.exists() else 1\n"
        "path.write_text(str(tries))\n"
        "assert not pathlib.Path(outputs['outputFile']).exists()\n"
        "tell()\n"
    )
    retries = {"retryPolicy": {"maxRetryCount": 2, "backoffDuration": "0.01s"}}
    result = run(Job(KFP).add("only", counts + "sys.exit(tries < 3)", **retries), tmp_path)
    assert states(result) == {"only": "done"}
    assert result.outcomes["only"].attempts == 3
    (tmp_path / "attempts").unlink()
    result = run(Job(KFP).add("only", counts + "sys.exit(1)", **retries), tmp_path)
    assert states(result) == {"only": "failed"}
    assert result.outcomes["only"].attempts == 3


def test_attempts_share_their_addresses_but_that_of_the_log(tmp_path: Path) -> None:
    """The driver runs once a task."""
    script = (
        "uris = [made(key)['uri'] for key in ('model', 'executor-logs')]\n"
        "print(json.dumps([*uris, os.path.relpath(outputs['outputFile'], mount)]))\n"
        f"path = pathlib.Path({str(tmp_path / 'tried')!r})\n"
        "if not path.exists(): path.touch(); sys.exit(1)\n"
    )
    retries = {"retryPolicy": {"maxRetryCount": 1, "backoffDuration": "0.01s"}}
    result = run(Job(KFP).add("only", script, makes={"model": {}}, **retries), tmp_path)
    assert states(result) == {"only": "done"}
    lines = (result.folder / "only.log").read_text("utf-8").splitlines()
    first, second = map(json.loads, lines)
    assert (first[0], first[2]) == (second[0], second[2])
    assert first[1].removesuffix("-0") == second[1].removesuffix("-1")
    assert (first[1][-2:], second[1][-2:]) == ("-0", "-1")


def test_a_link_to_a_file_is_copied_as_its_content(tmp_path: Path) -> None:
    script = (
        "model = place(made('model')['uri'] + '/x').parent\n(model / 'file').write_text('1')\n"
        "(model / 'link').symlink_to(model / 'file')\n"
    )
    result = run(Job(KFP).add("only", script, makes={"model": {}}), tmp_path)
    assert states(result) == {"only": "done"}
    model = Path(outcome(result, "only")["artifacts"]["model"]["uri"])
    assert not (model / "link").is_symlink()
    assert (model / "link").read_text("utf-8") == "1"


def test_a_launcher_knows_the_fields_of_the_published_messages() -> None:
    for fields, message in (
        (executor_messages.OUTPUT_FIELDS, pipeline_spec_pb2.ExecutorOutput),
        (executor_messages.LIST_FIELDS, pipeline_spec_pb2.ArtifactList),
        (executor_messages.ARTIFACT_FIELDS, pipeline_spec_pb2.RuntimeArtifact),
    ):
        assert fields == {field.json_name for field in message.DESCRIPTOR.fields}


def test_why_a_task_failed_is_said_by_its_last_attempt(tmp_path: Path) -> None:
    script = (
        f"path = pathlib.Path({str(tmp_path / 'tried')!r})\n"
        "if path.exists(): os.kill(os.getpid(), 9)\n"
        "path.touch()\n"
        "sys.exit('movierec: no ratings here')\n"
    )
    retries = {"retryPolicy": {"maxRetryCount": 1, "backoffDuration": "0.01s"}}
    result = run(Job(KFP).add("only", script, **retries), tmp_path)
    log = result.folder / "only.log"
    failure = f"only: ended by SIGKILL: it printed nothing; its log is {log}"
    assert result.outcomes["only"].failure == failure
    assert log.read_text("utf-8") == "movierec: no ratings here\n"


def test_the_environment_of_a_container_is_added(tmp_path: Path) -> None:
    job = Job(KFP).add("only", "print(json.dumps([os.environ['PATH'], os.environ['WHERE']]))")
    job.executors["exec-only"]["container"]["env"] = [{"name": "WHERE", "value": "gs://data/x"}]
    result = run(job, tmp_path)
    assert shown(result, "only") == [os.environ["PATH"], "gs://data/x"]


def test_a_job_without_a_pipeline_root_keeps_its_artifacts_in_the_workspace(tmp_path: Path) -> None:
    result = run(Job(KFP).add("only", makes={"model": {}}), tmp_path, has_root=False)
    uri = outcome(result, "only")["artifacts"]["model"]["uri"]
    assert uri.startswith(f"{tmp_path}/ws/artifacts/small/")


def test_a_second_run_in_the_workspace_is_refused(tmp_path: Path) -> None:
    with (
        Workspace(tmp_path / "ws").locked(),
        pytest.raises(UserError, match="is running in it"),
    ):
        run(Job(KFP).add("only"), tmp_path)


# What ends on SIGTERM, and what has to be killed for it.
HEEDS = ""
IGNORES = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"


@pytest.mark.parametrize(("begins", "impatient"), [(HEEDS, False), (IGNORES, True)])
def test_an_interrupt_ends_what_runs_and_what_it_started(
    begins: str, impatient: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interrupt comes from a report, as a signal would between two tasks.

    The grace is without end: what is not ended by a signal is never seen to end.
    """
    monkeypatch.setattr(task_process, "GRACE_SECONDS", math.inf)
    pids = tmp_path / "pids"
    child = f"{begins}print(flush=True); import time; time.sleep(600)"
    forks = (
        f"{begins}import subprocess\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        f"path = pathlib.Path({str(pids)!r})\n"
        "path.with_suffix('.part').write_text(f'{os.getpid()} {child.pid}')\n"
        "path.with_suffix('.part').rename(path)\n"
        "time.sleep(600)\n"
    )
    waits = f"while not os.path.exists({str(pids)!r}): time.sleep(0.01)\n"
    job = Job(KFP).add("long", forks).add("short", waits).add("after", dependentTasks=["long"])
    compiled = job_file.read(job.write(tmp_path))
    workspace = Workspace(tmp_path / "ws")
    options = runner.Options(
        platforms.find(compiled.schema, None),
        {},
        locations.parse(tmp_path, []),
        jobs=2,
        use_cache=True,
    )

    def interrupt(task: str, _outcome: Outcome) -> None:
        assert task == "short"
        if impatient:
            # Once it waits for what does not end.
            threading.Timer(0.1, options.impatient.set).start()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner.run(compiled, workspace, options, interrupt)
    for pid in pids.read_text("utf-8").split():
        while processes.runs(int(pid)):
            time.sleep(0.01)
    (folder,) = workspace.runs.iterdir()
    tasks = json.loads((folder / TASKS_FILE).read_text("utf-8"))
    assert tasks["after"]["state"] == State.NOT_RUN


def test_a_signal_that_another_thread_receives_interrupts_a_run_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that waits for the tasks runs the handler, and does not get the signal itself."""
    waited: list[bool] = []

    def receive_signal(ran: task_process.Processes, *_: object) -> int:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        ran.sleep(60)
        waited.append(ran.stopped)
        return 1

    monkeypatch.setattr(task_process.Processes, "run", receive_signal)
    handled = signal.signal(signal.SIGTERM, signal.default_int_handler)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        with pytest.raises(KeyboardInterrupt):
            run(Job(KFP).add("only"), tmp_path)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        signal.signal(signal.SIGTERM, handled)
    # The signal may come before the pool knows the thread, which then nobody joins.
    wait_until(lambda: bool(waited))
    assert waited == [True]
