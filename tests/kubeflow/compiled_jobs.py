"""Compiled jobs with small tasks, written by hand from the platforms' published schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

VERTEX = "2.0.0"
KFP = "2.1.0"
ROOT = "gs://bucket/root"

# Every script begins with it: `given` is the ExecutorInput. A launcher of Kubeflow copies what is
# below /gcs; on Vertex AI the task itself writes to the bucket.
_PRELUDE = (
    "import json, os, pathlib, sys, time\n"
    "given = json.loads(sys.argv[1])\n"
    "inputs, outputs = given['inputs'], given['outputs']\n"
    "stand_in = json.loads(os.environ['MOVIEREC_STAND_IN'])\n"
    "mount, bucket = stand_in['root'] + '/gcs/', stand_in['default'] + '/gs/'\n"
    "def place(text):\n"
    "    path = pathlib.Path(text.replace('gs://', PLACE).replace(mount, PLACE))\n"
    "    path.parent.mkdir(parents=True, exist_ok=True)\n"
    "    return path\n"
    "def made(key): return outputs['artifacts'][key]['artifacts'][0]\n"
    "def taken(key): return inputs['artifacts'][key]['artifacts'][0]\n"
    "def tell(**message): place(outputs['outputFile']).write_text(json.dumps(message))\n"
)
_TYPES = {
    VERTEX: {str: "STRING", int: "INT", float: "DOUBLE"},
    KFP: {str: "STRING", int: "NUMBER_INTEGER", float: "NUMBER_DOUBLE"},
}


def constant(schema: str, value: Any) -> dict[str, Any]:
    if schema == KFP:
        return {"runtimeValue": {"constant": value}}
    return {"runtimeValue": {"constantValue": legacy(value)}}


def legacy(value: Any) -> dict[str, Any]:
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"stringValue" if isinstance(value, str) else "doubleValue": value}


def definition(schema: str, kind: type) -> dict[str, str]:
    return {"parameterType" if schema == KFP else "type": _TYPES[schema][kind]}


class Job:
    """A job that tasks are added to."""

    def __init__(self, schema: str, **parameters: Any) -> None:
        self.schema = schema
        self.parameters = parameters
        self.tasks: dict[str, Any] = {}
        self.components: dict[str, Any] = {}
        self.executors: dict[str, Any] = {}

    def add(
        self,
        name: str,
        script: str = "",
        constants: dict[str, Any] | None = None,
        parameters: dict[str, str] | None = None,
        returned: dict[str, tuple[str, str]] | None = None,
        artifacts: dict[str, tuple[str, str]] | None = None,
        makes: dict[str, dict[str, Any]] | None = None,
        returns: dict[str, type] | None = None,
        arguments: tuple[str, ...] = ("{{$}}",),
        **more: Any,
    ) -> Job:
        schema = self.schema
        kinds = {key: type(value) for key, value in (constants or {}).items()}
        kinds |= {key: type(self.parameters[p]) for key, p in (parameters or {}).items()}
        kinds |= dict.fromkeys(returned or {}, str)
        kind = {"instanceSchema": "title: tfx.Model\ntype: object\n"}
        self.tasks[name] = {
            "taskInfo": {"name": name},
            "componentRef": {"name": f"comp-{name}"},
            "inputs": {
                "parameters": {
                    **{key: constant(schema, value) for key, value in (constants or {}).items()},
                    **{
                        key: {"componentInputParameter": p} for key, p in (parameters or {}).items()
                    },
                    **{
                        key: {
                            "taskOutputParameter": {"producerTask": t, "outputParameterKey": output}
                        }
                        for key, (t, output) in (returned or {}).items()
                    },
                },
                "artifacts": {
                    key: {"taskOutputArtifact": {"producerTask": t, "outputArtifactKey": output}}
                    for key, (t, output) in (artifacts or {}).items()
                },
            },
            **more,
        }
        self.components[f"comp-{name}"] = {
            "executorLabel": f"exec-{name}",
            "inputDefinitions": {
                "parameters": {key: definition(schema, k) for key, k in kinds.items()},
                "artifacts": {key: {"artifactType": kind} for key in artifacts or {}},
            },
            "outputDefinitions": {
                "parameters": {key: definition(schema, k) for key, k in (returns or {}).items()},
                "artifacts": {
                    key: {"artifactType": kind, "metadata": metadata}
                    for key, metadata in (makes or {}).items()
                },
            },
        }
        self.executors[f"exec-{name}"] = {
            "container": {
                "image": "registry.example/movierec:1",
                "command": ["python", "-c", self._prelude() + script],
                "args": list(arguments),
            }
        }
        return self

    def _prelude(self) -> str:
        return _PRELUDE.replace("PLACE", "mount" if self.schema == KFP else "bucket")

    def specification(self) -> dict[str, Any]:
        inputs = {
            name: definition(self.schema, type(value)) for name, value in self.parameters.items()
        }
        if self.schema == KFP:
            for name, value in self.parameters.items():
                inputs[name] |= {"defaultValue": value}
        return {
            "schemaVersion": self.schema,
            "pipelineInfo": {"name": "small"},
            "defaultPipelineRoot": ROOT,
            "root": {
                "dag": {"tasks": self.tasks},
                "inputDefinitions": {"parameters": inputs},
            },
            "components": self.components,
            "deploymentSpec": {"executors": self.executors},
        }

    def document(self) -> dict[str, Any]:
        if self.schema == KFP:
            return self.specification()
        return {
            "pipelineSpec": self.specification(),
            "runtimeConfig": {
                "gcsOutputDirectory": ROOT,
                "parameters": {name: legacy(value) for name, value in self.parameters.items()},
            },
        }

    def write(self, folder: Path) -> Path:
        path = folder / ("job.yaml" if self.schema == KFP else "job.json")
        text = yaml.safe_dump if self.schema == KFP else json.dumps
        path.write_text(text(self.document()), encoding="utf-8")
        return path
