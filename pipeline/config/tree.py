"""The whole configuration: one frozen tree, read from TOML and from `--set`."""

from __future__ import annotations

import datetime
import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import tomli_w
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from components.drift.limits import DriftLimits
from components.gate.limits import GateLimits
from components.movielens_example_gen.options import (
    AUTO,
    PLACEHOLDER,
    Dialect,
    EditionName,
    SplitOptions,
)
from models import features
from models.options import ExportOptions, ModelOptions, TransformOptions, TuningOptions
from models.registry import with_model_defaults
from pipeline.config.beam import BeamConfig
from pipeline.config.cluster import KfpConfig, TrainingConfig, VertexConfig
from pipeline.config.errors import UserError, listed
from pipeline.config.expectations import expectation
from pipeline.config.kubernetes import KubernetesConfig
from pipeline.config.section import Section
from serving.defaults import DEFAULT_MODEL


def _path_text(value: object) -> object:
    if value == "":
        raise ValueError("expected a path")
    if isinstance(value, str) and _is_address(value):
        raise ValueError("expected a path on this machine, not an address; fetch it first")
    return value


def _is_address(path: str) -> bool:
    return _ADDRESS.match(path) is not None


def _absolute(path: Path) -> Path:
    try:
        expanded = path.expanduser()
    except RuntimeError as error:
        raise ValueError("no such user; a path that begins with ~ is written ./~") from error
    try:
        return expanded.resolve()
    except RuntimeError as error:
        raise ValueError("a link that leads back to itself") from error


# As in https://host/file and gs://bucket/file.
_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")

SLICE_FEATURES = (
    features.MOVIE_GENRES,
    features.USER_ACTIVITY,
    features.MOVIE_POPULARITY_DECILE,
    features.USER_GENDER,
    features.USER_AGE_GROUP,
    features.USER_OCCUPATION,
)
"""Features whose values slice the evaluation."""

# A path on this machine. It is made absolute, so that no step depends on a working directory.
LocalPath = Annotated[
    Path,
    BeforeValidator(_path_text),
    AfterValidator(_absolute),
]


# Keys whose relative paths in a file are relative to it.
_PATHS_IN_FILES: Final = (("data", "path"), ("gate", "golden_set"))


class DataConfig(Dialect, Section):
    """The ratings to train on."""

    dataset: EditionName | Literal["auto"] = Field(
        "ml-100k",
        description="Edition of the ratings; auto, the default with a path, recognises the files.",
    )
    path: LocalPath | None = Field(
        None,
        description="Folder, zip archive or file of the ratings; ml-100k finds its own. With "
        "{SPAN}, or {YYYY}, {MM} and {DD}, one for each week.",
    )
    window: int | None = Field(
        None, ge=1, description="Number of newest spans of the path to read; all if not set."
    )
    name: str | None = Field(
        None, description="Only models with the same name are compared; `dataset` if not set."
    )
    max_rejected_fraction: float = Field(
        0.01, ge=0, le=1, description="Share of rows that may be rejected before the run stops."
    )

    @model_validator(mode="before")
    @classmethod
    def _recognise_by_default(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("path") and "dataset" not in values:
            return {**values, "dataset": AUTO}
        return values

    def check_window(self, path: str) -> None:
        """Refuses a window over a path without placeholders.

        Raises:
            UserError: The path has none, and a window is set.
        """
        if self.window is not None and not PLACEHOLDER.search(path):
            raise UserError(
                f"data.window={self.window}: {path} has no spans; expected {{SPAN}}, or {{YYYY}}, "
                "{MM} and {DD} in data.path"
            )

    @staticmethod
    def possible_span(path: str) -> str:
        """Returns a path with numbers in place of the placeholders."""
        return PLACEHOLDER.sub("0", path)

    @property
    def dialect(self) -> Dialect:
        """The keys on how the tables are written."""
        return Dialect.model_validate({name: getattr(self, name) for name in Dialect.model_fields})


class GateConfig(Section, GateLimits):
    """The thresholds that a model must meet to be pushed."""

    max_rmse: float = Field(0.94, gt=0, description="Highest holdout RMSE, in stars.")
    min_gain_over_popularity: float = Field(
        0.02, description="Least gain of Recall@10 and NDCG@10 over ranking by popularity."
    )
    max_ranking_regression: float = Field(
        0.01,
        ge=0,
        description="Largest fall of Recall@10 or NDCG@10 below the last blessed model's.",
    )
    golden_set: LocalPath | None = Field(
        None,
        description="Folder of trusted ratings that each model is judged on and none is trained "
        "on.",
    )
    slices: tuple[str, ...] = Field(
        (), description="Slices that must meet the thresholds too, each FEATURE=VALUE."
    )

    @field_validator("slices")
    @classmethod
    def _check_slices(cls, slices: tuple[str, ...]) -> tuple[str, ...]:
        for entry in slices:
            feature, _, value = entry.partition("=")
            if feature not in SLICE_FEATURES or not value:
                forms = listed((f"{name}=VALUE" for name in SLICE_FEATURES), "or")
                raise ValueError(f"expected {forms}")
        return slices


class ServingConfig(Section):
    """The push of a blessed model, and the trial in a model server before it."""

    model_name: str = Field(
        DEFAULT_MODEL,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$",
        description="Name of the model for a server, and of its folder below serving/.",
    )
    startup_seconds: float = Field(
        120.0, gt=0, description="Seconds that a model server may take to load a new model."
    )
    max_difference: float = Field(
        1e-4,
        ge=0,
        description="Largest difference of an answer from the Trainer's prediction.",
    )
    check_ops: bool = Field(
        True,
        description="Whether to refuse a model with ops that may read or write files or call "
        "Python.",
    )
    binary: LocalPath | None = Field(
        None,
        description="Path of tensorflow_model_server; if not set, the one on the PATH or, without "
        "one, the embedded server.",
    )


class BulkExportConfig(Section):
    """What is exported in bulk after the push."""

    recommendations: bool = Field(
        False, description="Whether to export the recommendations of every user."
    )
    vectors: bool = Field(False, description="Whether to export the vectors of users and movies.")
    k: int = Field(10, ge=1, description="Number of exported recommendations for each user.")

    @property
    def wanted(self) -> bool:
        """Whether anything is exported."""
        return self.recommendations or self.vectors


class RunnerConfig(Section):
    """The run of the steps."""

    cache: bool = Field(True, description="Whether to reuse the results of unchanged steps.")
    jobs: int | None = Field(
        None,
        ge=1,
        description="Most steps at once. The number of cores if not set, and less where memory is "
        "small.",
    )


class PipelineConfig(Section):
    """Everything a run depends on."""

    data: DataConfig = DataConfig()
    split: SplitOptions = SplitOptions()
    transform: TransformOptions = TransformOptions()
    model: ModelOptions = ModelOptions()
    training: TrainingConfig = TrainingConfig()
    tuning: TuningOptions = TuningOptions()
    export: ExportOptions = ExportOptions()
    drift: DriftLimits = DriftLimits()
    gate: GateConfig = GateConfig()
    serving: ServingConfig = ServingConfig()
    bulk_export: BulkExportConfig = BulkExportConfig()
    kubernetes: KubernetesConfig = KubernetesConfig()
    vertex: VertexConfig = VertexConfig()
    kfp: KfpConfig = KfpConfig()
    beam: BeamConfig = BeamConfig()
    runner: RunnerConfig = RunnerConfig()

    @model_validator(mode="after")
    def _check_warm_start(self) -> PipelineConfig:
        if self.training.warm_start and not self.model.trains_by_gradients:
            raise ValueError(
                f"training.warm_start: {self.model.name} computes its weights anew; expected a "
                "model that is trained by gradients"
            )
        return self

    @model_validator(mode="after")
    def _check_ranking(self) -> PipelineConfig:
        self.export.check_model(self.model)
        return self


def load_config(path: Path | None = None, overrides: Iterable[str] = ()) -> PipelineConfig:
    """Returns the configuration from a TOML file and `section.key=value` overrides.

    Keys that neither sets have the defaults of the chosen model.

    Args:
        path: TOML file; None for the defaults. A relative `data.path` or `gate.golden_set` in it
            is relative to the file.
        overrides: Overrides in the order in which they apply. The value of a key that takes text
            is the text as it stands, or a TOML string; other values are TOML.

    Raises:
        UserError: The file cannot be read, or a key or value is wrong.
    """
    values = {} if path is None else _read_toml(path)
    for override in overrides:
        _apply(values, override)
    try:
        return PipelineConfig.model_validate(with_model_defaults(values))
    except ValidationError as error:
        raise UserError(_explain(error)) from error


def to_toml(config: PipelineConfig) -> str:
    """Returns the configuration as TOML, without the keys that have no value."""
    return tomli_w.dumps(config.model_dump(mode="json", exclude_none=True))


def known_keys() -> dict[str, str]:
    """Returns the description of every `section.key`."""
    return {
        f"{section}.{key}": field.description or ""
        for section, section_field in PipelineConfig.model_fields.items()
        for key, field in section_field.annotation.model_fields.items()  # type: ignore[union-attr]
    }


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        # Editors on Windows put a byte-order mark first.
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"--config {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"--config {path}: not TOML: {error}") from error
    for name, key in _PATHS_IN_FILES:
        section = values.get(name)
        if isinstance(section, dict):
            folder = section.get(key)
            if isinstance(folder, str) and folder and not _stands_alone(folder):
                section[key] = str(path.parent / folder)
    return values


def _stands_alone(path: str) -> bool:
    """Returns whether a path has a place of its own, whatever file it stands in."""
    return path.startswith("~") or _is_address(path)


def _apply(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    section, dot, name = key.strip().partition(".")
    if not equals or not dot:
        raise UserError(
            f"--set {override}: expected SECTION.KEY=VALUE, for instance training.epochs=5"
        )
    group = values.setdefault(section, {})
    if not isinstance(group, dict):
        raise UserError(f"--set {override}: {section} is not a section")
    group[name] = _value(text.strip(), _takes_text(section, name))


def _value(text: str, takes_text: bool) -> Any:
    if takes_text and not text.startswith(('"', "'")):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _takes_text(section: str, name: str) -> bool:
    """Returns whether a key takes text, which no other notation may change."""
    group = PipelineConfig.model_fields.get(section)
    keys = getattr(group.annotation, "model_fields", {}) if group else {}
    return name in keys and _is_text(keys[name].annotation)


def _is_text(annotation: Any) -> bool:
    if get_origin(annotation) is Literal:
        return all(isinstance(value, str) for value in get_args(annotation))
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return any(map(_is_text, get_args(annotation)))
    return annotation in (str, Path)


def _explain(error: ValidationError) -> str:
    """Returns one line with the first wrong key, its value, and what is expected."""
    first = error.errors()[0]
    # pydantic also names the alternative, as in literal['a','b'], and the place [key].
    parts = (str(part) for part in first["loc"])
    key = ".".join(part for part in parts if "[" not in part)
    if first["type"] == "extra_forbidden":
        return f"{key}: no such key{_suggestion(key)}"
    problem = expectation(error)
    value = first["input"]
    # A date is shown as it was written.
    text = str(value) if isinstance(value, datetime.date | datetime.time) else repr(value)
    given = "" if isinstance(value, Mapping) else f"{text} is not allowed: "
    # A rule over several sections names its key itself.
    place = f"{key}: " if key else ""
    return f"{place}{given}{problem}"


def _suggestion(key: str) -> str:
    keys = list(known_keys())
    if "." not in key:
        keys = list(PipelineConfig.model_fields)
    elsewhere = [name for name in keys if name.partition(".")[2] == key.partition(".")[2] != ""]
    near = elsewhere or difflib.get_close_matches(key, keys, n=1, cutoff=0.5)
    section = key.partition(".")[0]
    siblings = [name for name in keys if name.partition(".")[0] == section] or keys
    allowed = ", ".join(siblings)
    return f"; did you mean {near[0]}? allowed: {allowed}" if near else f"; allowed: {allowed}"
