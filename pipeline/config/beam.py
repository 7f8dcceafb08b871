"""The `beam` section: which runner does the work of the data steps, and its options."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from pipeline.config.cluster import ProjectId, Region
from pipeline.config.errors import listed
from pipeline.config.section import Section

EXAMPLE_GEN: Final = "MovieLensExampleGen"
STATISTICS_GEN: Final = "StatisticsGen"
TRANSFORM: Final = "Transform"
EVALUATOR: Final = "Evaluator"
BEAM_STEPS: Final = (EXAMPLE_GEN, STATISTICS_GEN, TRANSFORM, EVALUATOR)
"""The steps that use Beam; the others do all their work in their own process."""

Runner = Literal["direct", "flink", "spark", "dataflow", "portable"]

BEAM_NAMES: Final[dict[Runner, str]] = {
    # Beam's DirectRunner tries to download another runner, Prism, for every pipeline. The
    # FnApiRunner is what it falls back to.
    "direct": "FnApiRunner",
    "flink": "FlinkRunner",
    "spark": "SparkRunner",
    "dataflow": "DataflowRunner",
    "portable": "PortableRunner",
}
"""Beam's own names of the runners."""

PROCESSES_RUNNER: Final = "pipeline.beam_runner.ProcessesRunner"
"""The runner of `direct` with several worker processes, which passes the options on to them."""

# Beam's own flag for each key, by the runners that use the key.
_FLAGS: Final[dict[str, dict[Runner, str]]] = {
    "workers": {
        "direct": "direct_num_workers",
        "flink": "sdk_worker_parallelism",
        "spark": "sdk_worker_parallelism",
        "dataflow": "num_workers",
        "portable": "sdk_worker_parallelism",
    },
    **{
        key: {"flink": key, "spark": key, "portable": key}
        for key in ("job_endpoint", "environment_type", "environment_config")
    },
    "flink_master": {"flink": "flink_master"},
    "spark_master_url": {"spark": "spark_master_url"},
    "project": {"dataflow": "project"},
    "region": {"dataflow": "region"},
    "temp_location": {"dataflow": "temp_location"},
}
_KEY_OF_FLAG: Final = {flag: key for key, flags in _FLAGS.items() for flag in flags.values()}
# The flags that decide where the work is done, and so what is checked before a run. They are the
# same for all steps.
_SAME_FOR_ALL: Final = {
    "runner": "runner",
    "direct_num_workers": "workers",
    "direct_running_mode": "workers",
    **{
        flag: key
        for flag, key in _KEY_OF_FLAG.items()
        if key.startswith(("job_", "environment_")) or key.endswith(("_master", "_master_url"))
    },
}
# Keys of earlier versions, and the flags of `beam.arguments` that replace them.
_REPLACED_KEYS: Final = {
    "parallelism": "--parallelism",
    "artifact_endpoint": "--artifact_endpoint",
    "job_server_jar": "--flink_job_server_jar or --spark_job_server_jar",
    "service_account": "--service_account_email",
    "subnetwork": "--subnetwork",
    "machine_type": "--machine_type",
    "max_workers": "--max_num_workers",
    "autoscaling": "--autoscaling_algorithm",
}
# Workers run the image of the steps.
_IMAGE_FLAGS: Final = ("sdk_container_image", "worker_harness_container_image")

_ALWAYS: Final = (
    # Beam's own type check of each pipeline takes a tenth of the run.
    "--no_pipeline_type_check",
    # New workers import these first: `pipeline` makes TensorFlow use Keras 2, and TFDV cannot be
    # imported before `tfx`.
    "--beam_plugin=pipeline",
    "--beam_plugin=tfx",
)
# The image for runners that start no containers. Unless one is named, TFX builds a package of
# itself for each step and leaves it in the temporary folder.
_NO_IMAGE: Final = "none"

_ARGUMENT: Final = re.compile(r"--(?P<flag>[a-z][a-z0-9_]*)(=.*)?", re.DOTALL)
_HOST_PORT: Final = r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9][A-Za-z0-9._-]*):\d{1,5}"


def _matches(pattern: str, expected: str) -> AfterValidator:
    """Returns a validator of text whose error says which form is expected."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"expected {expected}")
        return text

    return AfterValidator(check)


Endpoint = Annotated[str, _matches(_HOST_PORT, "HOST:PORT")]
FlinkMaster = Annotated[
    str, _matches(rf"https?://\S+|{_HOST_PORT}", "HOST:PORT or http://HOST:PORT")
]
SparkMaster = Annotated[
    str,
    _matches(
        r"local(\[[\d*]+\])?|yarn|(spark|k8s)://\S+",
        "spark://HOST:PORT, k8s://HOST:PORT, yarn or local[N]",
    ),
]
Bucket = Annotated[str, _matches(r"gs://[a-z0-9][-_.a-z0-9]+[a-z0-9]/\S+", "gs://BUCKET/PATH")]


class BeamConfig(Section):
    """The Beam runner of the data steps.

    The keys are those that a runner cannot start without. All other options of Beam go through
    `arguments`.
    """

    runner: Runner = Field("direct", description="Runner that does the work of the data steps.")
    workers: int | None = Field(
        None, ge=1, description="Python processes of each machine; for dataflow, machines at first."
    )
    job_endpoint: Endpoint | None = Field(None, description="HOST:PORT of a Beam job service.")
    environment_type: Literal["LOOPBACK", "DOCKER", "EXTERNAL", "PROCESS"] | None = Field(
        None, description="How workers of flink, spark and portable start."
    )
    environment_config: str | None = Field(
        None, min_length=1, description="HOST:PORT for EXTERNAL; a command as JSON for PROCESS."
    )
    flink_master: FlinkMaster | None = Field(
        None, description="HOST:PORT of the Flink REST API that receives the jobs."
    )
    spark_master_url: SparkMaster | None = Field(
        None, description="URL of Spark, for a Java job server that each step starts."
    )
    project: ProjectId | None = Field(
        None, description="Id of Dataflow's Google Cloud project; required for dataflow."
    )
    region: Region | None = Field(None, description="Region of Dataflow; required for dataflow.")
    temp_location: Bucket | None = Field(
        None, description="gs://BUCKET/PATH of Dataflow's temporary files; required for dataflow."
    )
    arguments: tuple[str, ...] = Field((), description="Other Beam flags, for all steps.")
    component_arguments: dict[str, tuple[str, ...]] = Field(
        default={}, description="Other Beam flags by step; they override `arguments`."
    )

    @model_validator(mode="before")
    @classmethod
    def _name_replacement(cls, values: Any) -> Any:
        for key in values if isinstance(values, dict) else ():
            if key in _REPLACED_KEYS:
                raise ValueError(
                    f"beam.{key} is no longer a key; set the Beam flag {_REPLACED_KEYS[key]} in "
                    f"beam.arguments"
                )
        return values

    @field_validator("arguments")
    @classmethod
    def _check_arguments(cls, arguments: tuple[str, ...]) -> tuple[str, ...]:
        for argument in arguments:
            _check_argument(argument, {**_KEY_OF_FLAG, **_SAME_FOR_ALL})
        return arguments

    @field_validator("component_arguments")
    @classmethod
    def _check_component_arguments(
        cls, by_step: dict[str, tuple[str, ...]]
    ) -> dict[str, tuple[str, ...]]:
        for step, arguments in by_step.items():
            if step not in BEAM_STEPS:
                raise ValueError(
                    f"unknown step {step}; expected {listed(BEAM_STEPS, 'or')}, which use Beam"
                )
            for argument in arguments:
                _check_argument(argument, _SAME_FOR_ALL)
        return by_step

    @model_validator(mode="after")
    def _check_runner(self) -> BeamConfig:
        for key, flags in _FLAGS.items():
            if getattr(self, key) is not None and self.runner not in flags:
                raise ValueError(
                    f"beam.{key} has no effect with runner={self.runner}; it is for "
                    f"{listed(flags, 'and')}"
                )
        for problem in self._problems():
            raise ValueError(problem)
        return self

    def arguments_for(self, step: str, image: str | None) -> list[str]:
        """Returns all Beam flags of a step.

        Args:
            step: One of `BEAM_STEPS`.
            image: Image of the steps, which workers on other machines run as well; None for a step
                in this process.
        """
        return [
            f"--runner={PROCESSES_RUNNER if self._in_processes else BEAM_NAMES[self.runner]}",
            *self._flags_of_keys(),
            *self._worker_flags(image),
            *_ALWAYS,
            *self.arguments,
            *self.component_arguments.get(step, ()),
        ]

    def environment(self, image: str | None) -> str | None:
        """Returns how workers start; None if the runner leaves no choice."""
        if self.runner not in _FLAGS["environment_type"]:
            return None
        return self.environment_type or ("LOOPBACK" if image is None else "DOCKER")

    @property
    def in_step_process(self) -> bool:
        """Whether all of the work is done in the step's own process."""
        return self.runner == "direct" and not self._in_processes

    @property
    def _in_processes(self) -> bool:
        return self.runner == "direct" and self.workers is not None and self.workers > 1

    def _flags_of_keys(self) -> list[str]:
        return [
            f"--{flags[self.runner]}={getattr(self, key)}"
            for key, flags in _FLAGS.items()
            if self.runner in flags and key != "environment_type" and getattr(self, key)
        ]

    def _worker_flags(self, image: str | None) -> list[str]:
        """Returns the flags that say how workers start and what they run."""
        environment = self.environment(image)
        elsewhere = self.runner != "direct" and environment != "LOOPBACK"
        flags = [f"--sdk_container_image={(elsewhere and image) or _NO_IMAGE}"]
        if environment is not None:
            flags.append(f"--environment_type={environment}")
        if environment == "DOCKER":
            # The portable runners read this flag and not `sdk_container_image`.
            flags.append(f"--environment_config={image}")
        if self._in_processes:
            flags.append("--direct_running_mode=multi_processing")
        if self.flink_master is not None:
            # A job in this form needs no Java where the step runs.
            flags.append("--flink_submit_uber_jar")
        return flags

    def _problems(self) -> Iterator[str]:
        """Yields what the runner needs and lacks, and keys without effect beside others."""
        needs = f"runner={self.runner} needs"
        has_service = self.job_endpoint is not None
        if self.runner == "portable" and not has_service:
            yield f"{needs} beam.job_endpoint, HOST:PORT of a Beam job service"
        if self.runner == "flink" and not has_service and self.flink_master is None:
            yield f"{needs} beam.flink_master, HOST:PORT of its REST API, or beam.job_endpoint"
        if self.runner == "spark" and not has_service and self.spark_master_url is None:
            yield f"{needs} beam.spark_master_url or beam.job_endpoint"
        needed = ("project", "region", "temp_location") if self.runner == "dataflow" else ()
        absent = [f"beam.{key}" for key in needed if getattr(self, key) is None]
        if absent:
            yield f"{needs} {listed(absent, 'and')}"
        for key in ("flink_master", "spark_master_url"):
            if has_service and getattr(self, key) is not None:
                yield f"beam.{key} has no effect beside beam.job_endpoint; remove one of them"
        yield from self._environment_problems()

    def _environment_problems(self) -> Iterator[str]:
        kind, config = self.environment_type, self.environment_config
        if kind == "EXTERNAL" and (config is None or not re.fullmatch(_HOST_PORT, config)):
            yield "beam.environment_type=EXTERNAL needs beam.environment_config=HOST:PORT"
        if kind == "PROCESS" and (config is None or not _is_command(config)):
            yield (
                'beam.environment_type=PROCESS needs beam.environment_config={"command": "/PATH"}, '
                "in quotes"
            )
        if kind not in {"EXTERNAL", "PROCESS"} and config is not None:
            yield (
                "beam.environment_config is for beam.environment_type EXTERNAL and PROCESS; DOCKER "
                "starts the image of the steps"
            )


def _is_command(config: str) -> bool:
    try:
        value = json.loads(config)
    except ValueError:
        return False
    return isinstance(value, dict) and isinstance(value.get("command"), str)


def _check_argument(argument: str, keys: dict[str, str]) -> None:
    """Checks that an argument is one Beam flag, in one word, and none that has a key.

    Raises:
        ValueError: The argument has another form, or its flag has a key of this section.
    """
    match = _ARGUMENT.fullmatch(argument)
    if match is None:
        raise ValueError(f"expected --FLAG=VALUE or --FLAG, not {argument!r}")
    if match["flag"] in keys:
        raise ValueError(f"set beam.{keys[match['flag']]} in place of {argument}")
    if match["flag"] in _IMAGE_FLAGS:
        raise ValueError(f"{argument} has no effect: Beam's workers run the image of the steps")
