"""Where Beam does the work of the data steps, and what it is told for that."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from pipeline.config.cluster import GoogleAccount, ProjectId, Region
from pipeline.config.section import Section
from pipeline.config.wording import listed

EXAMPLE_GEN: Final = "MovieLensExampleGen"
STATISTICS_GEN: Final = "StatisticsGen"
TRANSFORM: Final = "Transform"
EVALUATOR: Final = "Evaluator"
# The steps that use Beam; the others do all their work in their own process.
BEAM_STEPS: Final = (EXAMPLE_GEN, STATISTICS_GEN, TRANSFORM, EVALUATOR)

Runner = Literal["direct", "flink", "spark", "dataflow", "portable"]

# What Beam calls the runners. Not its DirectRunner, which wants to download yet another runner,
# Prism, for every pipeline; what that one falls back to is this.
BEAM_NAMES: Final[dict[Runner, str]] = {
    "direct": "FnApiRunner",
    "flink": "FlinkRunner",
    "spark": "SparkRunner",
    "dataflow": "DataflowRunner",
    "portable": "PortableRunner",
}

# Beam's own option for each key, by the runners that the key is for.
_OPTIONS: Final[dict[str, dict[Runner, str]]] = {
    "workers": {
        "direct": "direct_num_workers",
        "flink": "sdk_worker_parallelism",
        "spark": "sdk_worker_parallelism",
        "dataflow": "num_workers",
        "portable": "sdk_worker_parallelism",
    },
    "parallelism": {"flink": "parallelism"},
    **{
        key: {"flink": key, "spark": key, "portable": key}
        for key in ("job_endpoint", "artifact_endpoint", "environment_type", "environment_config")
    },
    "flink_master": {"flink": "flink_master"},
    "spark_master_url": {"spark": "spark_master_url"},
    "job_server_jar": {"flink": "flink_job_server_jar", "spark": "spark_job_server_jar"},
    "project": {"dataflow": "project"},
    "region": {"dataflow": "region"},
    "temp_location": {"dataflow": "temp_location"},
    "service_account": {"dataflow": "service_account_email"},
    "subnetwork": {"dataflow": "subnetwork"},
    "machine_type": {"dataflow": "machine_type"},
    "max_workers": {"dataflow": "max_num_workers"},
    "autoscaling": {"dataflow": "autoscaling_algorithm"},
}
_KEY_OF_OPTION: Final = {
    option: key for key, options in _OPTIONS.items() for option in options.values()
}
# What decides where the work is done, and so what is checked before a run: the same for all steps.
_SAME_FOR_ALL: Final = {
    "runner": "runner",
    "direct_num_workers": "workers",
    "direct_running_mode": "workers",
    **{
        option: key
        for option, key in _KEY_OF_OPTION.items()
        if key.startswith(("job_", "environment_")) or key.endswith(("_master", "_master_url"))
    },
}
# The same with several worker processes, which have to be told the options.
PROCESSES_RUNNER: Final = "pipeline.beam_runner.ProcessesRunner"

# The workers run what the steps run.
_IMAGE_OPTIONS: Final = ("sdk_container_image", "worker_harness_container_image")

_ALWAYS: Final = (
    # Beam's own type check of each pipeline takes a tenth of the run.
    "--no_pipeline_type_check",
    # Fresh workers import these before anything else: ours has TensorFlow use Keras 2, and
    # without TFX, TFDV cannot be imported.
    "--beam_plugin=pipeline",
    "--beam_plugin=tfx",
)
# Where no worker starts from an image. Unless one is named, TFX builds a package of itself for
# each step and leaves it in the temporary folder.
_NO_IMAGE: Final = "none"

_ARGUMENT: Final = re.compile(r"--(?P<option>[a-z][a-z0-9_]*)(=.*)?", re.DOTALL)
_HOST_PORT: Final = r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9][A-Za-z0-9._-]*):\d{1,5}"


def _as(pattern: str, expected: str) -> AfterValidator:
    """Takes text of a form, and says which otherwise."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"expected {expected}")
        return text

    return AfterValidator(check)


Endpoint = Annotated[str, _as(_HOST_PORT, "HOST:PORT")]
FlinkMaster = Annotated[str, _as(rf"https?://\S+|{_HOST_PORT}", "HOST:PORT or http://HOST:PORT")]
SparkMaster = Annotated[
    str,
    _as(
        r"local(\[[\d*]+\])?|yarn|(spark|k8s)://\S+",
        "spark://HOST:PORT, k8s://HOST:PORT, yarn or local[N]",
    ),
]
Bucket = Annotated[str, _as(r"gs://[a-z0-9][-_.a-z0-9]+[a-z0-9]/\S+", "gs://BUCKET/PATH")]
Subnetwork = Annotated[
    str, _as(r"(\S+/)?regions/[^/\s]+/subnetworks/[^/\s]+", "regions/REGION/subnetworks/NAME")
]


class BeamConfig(Section):
    """Where the data steps run, and with how much of it."""

    runner: Runner = Field("direct", description="where Beam does the work of the data steps")
    workers: int | None = Field(
        None, ge=1, description="Python processes on each machine; machines at first for dataflow"
    )
    parallelism: int | None = Field(None, ge=1, description="of a job; the cluster's if not given")
    job_endpoint: Endpoint | None = Field(None, description="HOST:PORT of a Beam job service")
    artifact_endpoint: Endpoint | None = Field(
        None, description="HOST:PORT that it takes files at; what it says itself if not given"
    )
    environment_type: Literal["LOOPBACK", "DOCKER", "EXTERNAL", "PROCESS"] | None = Field(
        None, description="how workers start"
    )
    environment_config: str | None = Field(
        None, min_length=1, description="of EXTERNAL, HOST:PORT; of PROCESS, a command as JSON"
    )
    flink_master: FlinkMaster | None = Field(
        None, description="address of Flink's REST API, which jobs are sent to"
    )
    spark_master_url: SparkMaster | None = Field(
        None, description="of Spark, for a Java job server that each step starts"
    )
    job_server_jar: str | None = Field(
        None, min_length=1, description="Beam's job server for Flink or Spark; path or URL"
    )
    project: ProjectId | None = Field(None, description="id of Dataflow's Google Cloud project")
    region: Region | None = Field(None, description="where Dataflow runs")
    temp_location: Bucket | None = Field(
        None, description="gs://BUCKET/PATH for Dataflow's own files"
    )
    service_account: GoogleAccount | None = Field(
        None, description="whose rights Dataflow's workers have; the project's own if not given"
    )
    subnetwork: Subnetwork | None = Field(
        None, description="of Dataflow's workers, as regions/REGION/subnetworks/NAME"
    )
    machine_type: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+$")] | None = Field(
        None, description="of Dataflow's workers"
    )
    max_workers: int | None = Field(None, ge=1, description="machines of Dataflow at most")
    autoscaling: Literal["THROUGHPUT_BASED", "NONE"] | None = Field(
        None, description="how Dataflow changes the number of machines"
    )
    arguments: tuple[str, ...] = Field((), description="further Beam pipeline options")
    component_arguments: dict[str, tuple[str, ...]] = Field(
        default={}, description="further ones of single steps, which go before those of all"
    )

    @field_validator("arguments")
    @classmethod
    def _of_no_key(cls, arguments: tuple[str, ...]) -> tuple[str, ...]:
        for argument in arguments:
            _check_argument(argument, {**_KEY_OF_OPTION, **_SAME_FOR_ALL})
        return arguments

    @field_validator("component_arguments")
    @classmethod
    def _of_beam_steps(cls, by_step: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for step, arguments in by_step.items():
            if step not in BEAM_STEPS:
                raise ValueError(
                    f"no step that uses Beam is called {step}; allowed: {listed(BEAM_STEPS, 'and')}"
                )
            for argument in arguments:
                _check_argument(argument, _SAME_FOR_ALL)
        return by_step

    @model_validator(mode="after")
    def _fits_the_runner(self) -> BeamConfig:
        for key, options in _OPTIONS.items():
            if getattr(self, key) is not None and self.runner not in options:
                raise ValueError(
                    f"beam.{key} is of no use to runner={self.runner}; it is for "
                    f"{listed(options, 'and')}"
                )
        for problem in self._problems():
            raise ValueError(problem)
        return self

    def arguments_for(self, step: str, image: str | None) -> list[str]:
        """What Beam is told when it works for a step.

        Args:
            step: one of `BEAM_STEPS`.
            image: of the step itself, which workers elsewhere run as well; None for a step in
                this process.
        """
        return [
            f"--runner={PROCESSES_RUNNER if self._in_processes else BEAM_NAMES[self.runner]}",
            *self._keys(),
            *self._workers(image),
            *_ALWAYS,
            *self.arguments,
            *self.component_arguments.get(step, ()),
        ]

    def environment(self, image: str | None) -> str | None:
        """How workers start; None where the runner leaves no choice."""
        if self.runner not in _OPTIONS["environment_type"]:
            return None
        return self.environment_type or ("LOOPBACK" if image is None else "DOCKER")

    @property
    def _in_processes(self) -> bool:
        return self.runner == "direct" and self.workers is not None and self.workers > 1

    def _keys(self) -> list[str]:
        return [
            f"--{options[self.runner]}={getattr(self, key)}"
            for key, options in _OPTIONS.items()
            if self.runner in options and key != "environment_type" and getattr(self, key)
        ]

    def _workers(self, image: str | None) -> list[str]:
        """What kind of workers there are, and what they run."""
        environment = self.environment(image)
        elsewhere = self.runner != "direct" and environment != "LOOPBACK"
        told = [f"--sdk_container_image={(elsewhere and image) or _NO_IMAGE}"]
        if environment is not None:
            told.append(f"--environment_type={environment}")
        if environment == "DOCKER":
            # Of the portable runners' own; they do not look at the other one.
            told.append(f"--environment_config={image}")
        if self._in_processes:
            told.append("--direct_running_mode=multi_processing")
        if self.flink_master is not None:
            # Sent to Flink as it is, it needs no Java where the step runs.
            told.append("--flink_submit_uber_jar")
        return told

    def _problems(self) -> Iterator[str]:
        """What the runner cannot do without, and keys that others make useless."""
        needs = f"runner={self.runner} needs"
        answered = self.job_endpoint is not None
        if self.runner == "portable" and not answered:
            yield f"{needs} beam.job_endpoint, HOST:PORT of a Beam job service"
        if self.runner == "flink" and not answered and self.flink_master is None:
            yield f"{needs} beam.flink_master, the address of its REST API, or beam.job_endpoint"
        if self.runner == "spark" and not answered and self.spark_master_url is None:
            yield f"{needs} beam.spark_master_url, or beam.job_endpoint of a Beam job service"
        needed = ("project", "region", "temp_location") if self.runner == "dataflow" else ()
        absent = [f"beam.{key}" for key in needed if getattr(self, key) is None]
        if absent:
            yield f"{needs} {listed(absent, 'and')}"
        for key in ("flink_master", "spark_master_url", "job_server_jar"):
            if answered and getattr(self, key) is not None:
                yield f"beam.{key} is of no use beside beam.job_endpoint; leave one of them out"
        if self.artifact_endpoint is not None and not answered:
            yield "beam.artifact_endpoint is of no use without beam.job_endpoint"
        if self.max_workers is not None and self.autoscaling == "NONE":
            yield "beam.max_workers is of no use with beam.autoscaling=NONE"
        yield from self._problems_of_the_environment()

    def _problems_of_the_environment(self) -> Iterator[str]:
        kind, config = self.environment_type, self.environment_config
        if kind == "EXTERNAL" and (config is None or not re.fullmatch(_HOST_PORT, config)):
            yield "beam.environment_type=EXTERNAL needs beam.environment_config, as HOST:PORT"
        if kind == "PROCESS" and (config is None or not _is_command(config)):
            yield (
                'beam.environment_type=PROCESS needs beam.environment_config, as {"command": '
                '"/PATH"}'
            )
        if kind not in {"EXTERNAL", "PROCESS"} and config is not None:
            yield (
                "beam.environment_config is for beam.environment_type EXTERNAL and PROCESS; "
                "workers that DOCKER starts run the image of the steps"
            )


def _is_command(config: str) -> bool:
    try:
        value = json.loads(config)
    except ValueError:
        return False
    return isinstance(value, dict) and isinstance(value.get("command"), str)


def _check_argument(argument: str, keys: dict[str, str]) -> None:
    """Whether it is an option of Beam's, in one word, that has no key of its own here."""
    found = _ARGUMENT.fullmatch(argument)
    if found is None:
        raise ValueError(f"expected --OPTION=VALUE or --OPTION, not {argument!r}")
    if found["option"] in keys:
        raise ValueError(f"beam.{keys[found['option']]} is the key for {argument}")
    if found["option"] in _IMAGE_OPTIONS:
        raise ValueError(f"Beam's workers run the image of the steps, not that of {argument}")
