import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from absl import logging
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.dsl.io import fileio
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_entrypoint_utils
from tfx.types import standard_artifacts

from components.errors import DataError
from components.serving_validator.candidate import UnservableModelError
from kubeflow import step_command
from kubeflow.compiling import compiler
from kubeflow.compiling.compile_options import CompileOptions
from kubeflow.steps import run_step
from kubeflow.steps.run_step import declared, prepared
from kubeflow.storage.mounts import Mounts
from kubeflow.targets import Target
from kubeflow.training_job import replica
from models.errors import TrainingDivergedError
from pipeline import SCHEMA_FILE, row_bounds
from pipeline.config.errors import UserError
from pipeline.config.tree import load_config

EPOCHS = "{{$.inputs.parameters['pipelinechannel--epochs']}}"
ROOT = "{{$.inputs.parameters['pipelinechannel--root']}}"


def test_constants_get_their_values_in_schema_2_1() -> None:
    given = {
        "inputs": {
            "parameterValues": {
                "custom_config": f'{{"epochs": {EPOCHS}, "checkpoints": "{ROOT}/checkpoints"}}',
                "fraction": 0.5,
                "pipelinechannel--epochs": 7.0,
                "pipelinechannel--root": "gs://bucket",
            }
        }
    }
    assert prepared(given)["inputs"]["parameterValues"] == {
        "custom_config": '{"epochs": 7, "checkpoints": "gs://bucket/checkpoints"}',
        "fraction": 0.5,
    }


def test_constants_get_their_values_in_schema_2_0() -> None:
    given = {
        "inputs": {
            "parameters": {
                "custom_config": {"stringValue": f'{{"epochs": {EPOCHS}}}'},
                "limit": {"doubleValue": 0.5},
                "pipelinechannel--epochs": {"intValue": "7"},
            }
        }
    }
    assert prepared(given)["inputs"]["parameters"] == {
        "custom_config": {"stringValue": '{"epochs": 7}'},
        "limit": {"doubleValue": 0.5},
    }


def test_constants_that_the_platform_has_resolved_stay() -> None:
    given = {"inputs": {"parameterValues": {"config": '{"epochs": 7}', "pipelinechannel--a": 1}}}
    assert prepared(given)["inputs"]["parameterValues"] == {"config": '{"epochs": 7}'}


@pytest.mark.parametrize("value", ['s3://bucket/a"b', "/data\\d"])
@pytest.mark.parametrize("filled", [True, False])
def test_a_parameter_that_breaks_constants_is_one_line(value: str, filled: bool) -> None:
    """Whether or not the launcher has put it into them."""
    name = "{{$.inputs.parameters['pipelinechannel--push']}}"
    given = {"config": f'{{"at": "{name}"}}', "pipelinechannel--push": value}
    text = json.dumps({"inputs": {"parameterValues": given}})
    step = step_command.parse(
        [
            "run_step",
            "--executor_class_path=a.B",
            f"--json_serialized_invocation_args={text.replace(name, value) if filled else text}",
        ]
    )
    with pytest.raises(SystemExit) as ended:
        run_step.main(step)
    assert isinstance(ended.value.code, str)
    (line,) = ended.value.code.splitlines()
    assert line.startswith("movierec: ")
    assert "expected" in line
    assert "push=" in line or "no JSON near" in line
    assert value in line or value in line.replace("\\\\", "\\")


def test_addresses_of_installed_files_become_paths() -> None:
    given = {"inputs": {"parameterValues": {"schema_file": "installed://schema"}}}
    (path,) = prepared(given)["inputs"]["parameterValues"].values()
    assert path == str(SCHEMA_FILE)
    assert Path(path).is_file()


MODEL = "title: tfx.Model\ntype: object\n"
EXAMPLES = "title: tfx.Examples\ntype: object\n"
INPUTS_SPEC = {
    "artifacts": {
        "model": {"artifactType": {"instanceSchema": MODEL}},
        "examples": {"artifactType": {"instanceSchema": EXAMPLES}},
        "schema": {"artifactType": {"schemaTitle": "tfx.Schema"}},
    }
}


def test_artifacts_get_the_types_that_kubeflow_does_not_know() -> None:
    """The driver of Kubeflow Pipelines has the schema of no artifact, and an empty text instead."""
    own = {"instanceSchema": "title: tfx.ModelBlessing\ntype: object\n"}
    given = {
        "inputs": {
            "artifacts": {
                "model": {"artifacts": [{"uri": "gs://b/m", "type": {"instanceSchema": ""}}]},
                "examples": {"artifacts": [{"uri": "gs://b/x"}, {"uri": "gs://b/y", "type": {}}]},
                "schema": {"artifacts": [{"uri": "gs://b/s", "type": {"schemaTitle": ""}}]},
                "other": {"artifacts": [{"uri": "gs://b/o", "type": own}]},
            }
        }
    }
    before = json.dumps(given)
    found = prepared(given, INPUTS_SPEC)["inputs"]
    types = {
        artifact["uri"]: artifact["type"]
        for listed in found["artifacts"].values()
        for artifact in listed["artifacts"]
    }
    assert types == {
        "gs://b/m": {"instanceSchema": MODEL},
        "gs://b/x": {"instanceSchema": EXAMPLES},
        "gs://b/y": {"instanceSchema": EXAMPLES},
        "gs://b/s": {"schemaTitle": "tfx.Schema"},
        "gs://b/o": own,
    }
    assert json.dumps(given) == before
    # What TFX then makes of them.
    message = pipeline_spec_pb2.ExecutorInput.Inputs()
    json_format.ParseDict(found, message)
    parsed = kubeflow_v2_entrypoint_utils.parse_raw_artifact_dict(message.artifacts)
    assert {name: [type(entry) for entry in entries] for name, entries in parsed.items()} == {
        "model": [standard_artifacts.Model],
        "examples": [standard_artifacts.Examples] * 2,
        "schema": [standard_artifacts.Schema],
        "other": [standard_artifacts.ModelBlessing],
    }


def test_types_that_the_platform_knows_stay() -> None:
    """Vertex AI knows them, and schema 2.0 declares none to the step."""
    artifact = {"uri": "gs://b/m", "type": {"instanceSchema": EXAMPLES}}
    given = {"inputs": {"artifacts": {"model": {"artifacts": [artifact]}}}}
    assert prepared(given) == given
    assert prepared(given, INPUTS_SPEC) == given


@pytest.mark.parametrize("key", ["parameters", "parameterValues"])
def test_what_a_step_does_not_declare_is_not_handed_on(key: str) -> None:
    given = {
        "inputs": {"artifacts": {"model": {}, "other": {}}, key: {"epochs": 1, "other": 2}},
        "outputs": {
            "artifacts": {"blessing": {}, "executor-logs": {}},
            "parameters": {"said": {}, "other": {}},
            "outputFile": "/output.json",
        },
    }
    names = {
        "inputs": {"artifacts": ["model"], "parameters": ["epochs"]},
        "outputs": {"artifacts": ["blessing"], "parameters": ["said"]},
    }
    assert declared(given, names) == {
        "inputs": {"artifacts": {"model": {}}, key: {"epochs": 1}},
        "outputs": {
            "artifacts": {"blessing": {}},
            "parameters": {"said": {}},
            "outputFile": "/output.json",
        },
    }


@pytest.mark.parametrize("target", list(Target))
def test_every_step_is_told_what_its_component_declares(target: Target) -> None:
    order = CompileOptions(target, "registry.example/movierec:1", "gs://bucket/root")
    spec = compiler.compile_pipeline(load_config(), order).spec
    for component in spec["components"].values():
        container = spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
        parsed, _ = step_command.parse(["run_step", *container["args"]])
        assert parsed.target == target
        given, made = component.get("inputDefinitions", {}), component["outputDefinitions"]
        assert json.loads(parsed.declared) == {
            side: {kind: sorted(definitions.get(kind, {})) for kind in ("artifacts", "parameters")}
            for side, definitions in (("inputs", given), ("outputs", made))
        }


def test_ids_that_tfx_makes_of_names_are_names_again() -> None:
    name = "111"
    # As TFX makes it: 63 bits, of which a double holds 53.
    number = int(hashlib.sha256(name.encode()).hexdigest(), 16) % 2**63
    model = {"name": name, "uri": "gs://b/m", "type": {"instanceSchema": MODEL}}
    given = {"inputs": {"artifacts": {"model": {"artifacts": [model]}}}}
    metadata = {"current_model_id": float(number), "blessed": 1.0, "text": "111"}
    output = {"artifacts": {"blessing": {"artifacts": [{"metadata": metadata}]}}}
    (named,) = run_step.with_names(output, given)["artifacts"]["blessing"]["artifacts"]
    assert named == {"metadata": {**metadata, "current_model_id": name}}


@pytest.mark.parametrize("output", ["/gcs/b/run/output.json", "gs://b/run/output.json"])
def test_vertex_ai_leaves_storage_to_those_who_read_and_write(
    output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mount is there, and nothing goes by it."""
    (tmp_path / "gcs").mkdir()
    monkeypatch.setattr(run_step, "MOUNTS", {"gs": f"{tmp_path}/gcs"})
    handed: list[dict[str, Any]] = []

    def execute(parsed: tuple[Any, list[str]]) -> None:
        given = json.loads(parsed[0].json_serialized_invocation_args)
        handed.append(given)
        with fileio.open(given["outputs"]["outputFile"], "w") as file:
            file.write("{}")

    files: dict[str, str] = {}
    monkeypatch.setattr(run_step.kubeflow_v2_run_executor, "main", execute)
    monkeypatch.setattr(run_step.fileio, "open", lambda path, mode: Remote(files, path, mode))
    given = {
        "inputs": {
            "artifacts": {
                "model": {
                    "artifacts": [
                        {"name": "m", "uri": "gs://b/m", "type": {"instanceSchema": MODEL}}
                    ]
                }
            }
        },
        "outputs": {
            "artifacts": {"blessing": {"artifacts": [{"name": "b", "uri": "gs://b/run/blessing"}]}},
            "outputFile": output.replace("/gcs", f"{tmp_path}/gcs"),
        },
    }
    step = ["run_step", "--executor_class_path=a.B", "--target=vertex"]
    run_step.run(
        step_command.parse([*step, f"--json_serialized_invocation_args={json.dumps(given)}"])
    )
    (told,) = handed
    assert told == {
        **given,
        "outputs": {**given["outputs"], "outputFile": "gs://b/run/output.json"},
    }
    assert files == {"gs://b/run/output.json": "{}"}
    assert not list((tmp_path / "gcs").iterdir())


class Remote(io.StringIO):
    """A file of a bucket that is a dictionary."""

    def __init__(self, files: dict[str, str], path: str, mode: str) -> None:
        super().__init__(files[path] if mode == "r" else "")
        self._keep = (lambda text: files.update({path: text})) if mode == "w" else len

    def close(self) -> None:
        if not self.closed:
            self._keep(self.getvalue())
        super().close()


def test_artifacts_are_read_and_written_where_they_are_mounted(tmp_path: Path) -> None:
    (tmp_path / "gcs").mkdir()
    mounts = Mounts({"gs": str(tmp_path / "gcs"), "s3": str(tmp_path / "absent")})
    given = {
        "inputs": {"artifacts": {"model": {"artifacts": [{"name": "m1", "uri": "gs://b/m"}]}}},
        "outputs": {
            "artifacts": {"blessing": {"artifacts": [{"uri": "gs://b/run/blessing"}]}},
            "outputFile": "gs://b/run/out.json",
        },
    }
    mounted = mounts.mounted(given)
    (model,) = mounted["inputs"]["artifacts"]["model"]["artifacts"]
    (blessing,) = mounted["outputs"]["artifacts"]["blessing"]["artifacts"]
    assert model == {"name": "m1", "uri": f"{tmp_path}/gcs/b/m"}
    # A blessing refers to its model by name, and some platforms give none.
    assert blessing == {"name": "gs://b/run/blessing", "uri": f"{tmp_path}/gcs/b/run/blessing"}
    assert mounted["outputs"]["outputFile"] == f"{tmp_path}/gcs/b/run/out.json"
    output = {"artifacts": {"blessing": {"artifacts": [{**blessing, "metadata": {"blessed": 1}}]}}}
    (back,) = mounts.unmounted(output)["artifacts"]["blessing"]["artifacts"]
    assert back == {
        "name": "gs://b/run/blessing",
        "uri": "gs://b/run/blessing",
        "metadata": {"blessed": 1},
    }


def test_what_is_not_mounted_stays_a_uri(tmp_path: Path) -> None:
    mounts = Mounts({"s3": str(tmp_path / "absent")})
    assert mounts.path("s3://b/m") == "s3://b/m"
    assert mounts.path("/local/m") == "/local/m"


def test_bad_ratings_are_one_line(tmp_path: Path) -> None:
    ratings = ["userId,movieId,rating,timestamp", "1,1,99,0", "1,2,4,0"]
    (tmp_path / "ratings.csv").write_text("\n".join(ratings) + "\n", encoding="utf-8")
    movies = ["movieId,title,genres", "1,One,Drama", "2,Two,Drama"]
    (tmp_path / "movies.csv").write_text("\n".join(movies) + "\n", encoding="utf-8")
    ingest = {
        "edition": "csv",
        "max_rejected_fraction": 0.25,
        "split": {"method": "hash"},
        "bounds": row_bounds.read().model_dump(),
        "dialect": {"rating_range": [0.5, 5]},
    }
    parameters = {"input_base": str(tmp_path), "custom_config": json.dumps({"ingest": ingest})}
    examples = {"uri": str(tmp_path / "examples"), "type": {"instanceSchema": EXAMPLES}}
    given = {
        "inputs": {"parameterValues": parameters},
        "outputs": {
            "artifacts": {"examples": {"artifacts": [examples]}},
            "outputFile": str(tmp_path / "output.json"),
        },
    }
    spec = {"parameters": {key: {"parameterType": "STRING"} for key in parameters}}
    step = step_command.parse(
        [
            "run_step",
            "--executor_class_path=components.movielens_example_gen.executor.Executor",
            f"--json_serialized_invocation_args={json.dumps(given)}",
            f"--json_serialized_inputs_spec_args={json.dumps(spec)}",
        ]
    )
    told = logging.get_verbosity()
    try:
        with pytest.raises(SystemExit) as ended:
            run_step.main(step)
    finally:
        logging.set_verbosity(told)
    # A text is printed, and the exit code is 1.
    assert isinstance(ended.value.code, str)
    (line,) = ended.value.code.splitlines()
    assert line.startswith("movierec: 1 of 2 rows cannot be ratings (50.00%")
    assert "1 rating out of range" in line
    assert not (tmp_path / "output.json").exists()


@pytest.mark.parametrize("main", [run_step.main, replica.run])
@pytest.mark.parametrize(
    "kind", [UserError, DataError, TrainingDivergedError, UnservableModelError]
)
def test_what_is_meant_for_a_person_is_no_traceback(
    main: Callable[[Any], None], kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Any) -> None:
        raise kind("do this instead")

    given = json.dumps({"outputs": {"outputFile": "/output.json"}})
    step = step_command.parse(
        ["run_step", "--executor_class_path=a.B", f"--json_serialized_invocation_args={given}"]
    )
    monkeypatch.setattr(replica.kubeflow_v2_run_executor, "main", fail)
    with pytest.raises(SystemExit) as ended:
        main(step)
    assert ended.value.code == "movierec: do this instead"
    monkeypatch.setattr(replica.kubeflow_v2_run_executor, "main", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(step)
