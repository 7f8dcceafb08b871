"""The whole configuration: one frozen tree, read from TOML and from `--set`."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import tomli_w
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, field_validator

from components.movielens_example_gen.options import EditionName, SplitOptions
from models import features
from models.options import ExportOptions, ModelOptions, TransformOptions, TuningOptions
from models.registry import with_model_defaults
from pipeline.config.beam import BeamConfig
from pipeline.config.cluster import KfpConfig, VertexConfig
from pipeline.config.errors import UserError
from pipeline.config.kubernetes import KubernetesConfig
from pipeline.config.section import Section
from pipeline.config.training import TrainingConfig
from serving.defaults import DEFAULT_MODEL


def _path_text(value: object) -> object:
    if value == "":
        raise ValueError("a path is needed")
    # A name of digits alone reads as a number.
    return str(value) if isinstance(value, int) else value


# Of this machine; absolute once read, so that no step depends on where another was started.
LocalPath = Annotated[
    Path,
    BeforeValidator(_path_text),
    AfterValidator(lambda path: path.expanduser().resolve()),
]


class DataConfig(Section):
    """Which ratings."""

    dataset: EditionName = "ml-100k"
    path: LocalPath | None = Field(None, description="folder of the files; ml-100k finds its own")
    name: str | None = Field(
        None, description="models of one name are compared; the dataset's if not given"
    )
    max_rejected_fraction: float = Field(0.01, ge=0, le=1)


class GateConfig(Section):
    """When a model is good enough to be pushed."""

    max_rmse: float = Field(0.94, gt=0, description="highest holdout RMSE, in stars")
    max_regression: float = Field(
        0.005, ge=0, description="how much higher than the last blessed model's RMSE may be"
    )
    min_gain_over_popularity: float = Field(
        0.02, description="how far above popularity's Recall@10 and NDCG@10 a retrieval model is"
    )
    max_ranking_regression: float = Field(
        0.01, ge=0, description="how far below the last blessed model's those may be"
    )
    slices: tuple[str, ...] = Field(
        (), description="slices held to the thresholds too, as feature=value"
    )

    @field_validator("slices")
    @classmethod
    def _feature_equals_value(cls, slices: tuple[str, ...]) -> tuple[str, ...]:
        for entry in slices:
            feature, _, value = entry.partition("=")
            if feature not in SLICE_FEATURES or not value:
                allowed = ", ".join(f"{name}=VALUE" for name in SLICE_FEATURES)
                raise ValueError(f"allowed: {allowed}")
        return slices


# What an evaluation is sliced by.
SLICE_FEATURES = (features.MOVIE_GENRES, features.USER_ACTIVITY)


class ServingConfig(Section):
    """Where a blessed model goes, below the workspace's `serving/`, and how it is tried before."""

    model_name: str = Field(DEFAULT_MODEL, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    startup_seconds: float = Field(
        120.0, gt=0, description="that a model server has to load a new model before it is pushed"
    )
    max_difference: float = Field(
        1e-4, ge=0, description="between a served answer and what the Trainer predicted"
    )
    binary: LocalPath | None = Field(
        None,
        description="tensorflow_model_server to try new models in; else that on PATH, else ours",
    )


class RunnerConfig(Section):
    """How the steps are chained."""

    cache: bool = Field(True, description="use the result of a step whose inputs did not change")


class PipelineConfig(Section):
    """Everything a run depends on."""

    data: DataConfig = DataConfig()
    split: SplitOptions = SplitOptions()
    transform: TransformOptions = TransformOptions()
    model: ModelOptions = ModelOptions()
    training: TrainingConfig = TrainingConfig()
    tuning: TuningOptions = TuningOptions()
    export: ExportOptions = ExportOptions()
    gate: GateConfig = GateConfig()
    serving: ServingConfig = ServingConfig()
    kubernetes: KubernetesConfig = KubernetesConfig()
    vertex: VertexConfig = VertexConfig()
    kfp: KfpConfig = KfpConfig()
    beam: BeamConfig = BeamConfig()
    runner: RunnerConfig = RunnerConfig()


def load_config(path: Path | None = None, overrides: Iterable[str] = ()) -> PipelineConfig:
    """The configuration from a TOML file and `section.key=value` overrides.

    What neither sets is the default for the model that they name.

    Args:
        path: a TOML file; None for the defaults. A relative `data.path` in it is relative to it.
        overrides: applied in order; a value is read as TOML, or as text where it is not TOML.

    Raises:
        UserError: the file cannot be read, or a key or value is wrong.
    """
    values = {} if path is None else _read_toml(path)
    for override in overrides:
        _apply(values, override)
    try:
        return PipelineConfig.model_validate(with_model_defaults(values))
    except ValidationError as error:
        raise UserError(_explain(error)) from error


def to_toml(config: PipelineConfig) -> str:
    """The configuration as TOML; keys without a value are left out."""
    return tomli_w.dumps(config.model_dump(mode="json", exclude_none=True))


def known_keys() -> dict[str, str]:
    """Every `section.key` with its description."""
    return {
        f"{section}.{key}": field.description or ""
        for section, section_field in PipelineConfig.model_fields.items()
        for key, field in section_field.annotation.model_fields.items()  # type: ignore[union-attr]
    }


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"--config {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"--config {path}: not TOML: {error}") from error
    data = values.get("data")
    if isinstance(data, dict) and isinstance(data.get("path"), str) and data["path"]:
        data["path"] = str(path.parent / Path(data["path"]).expanduser())
    return values


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
    group[name] = _value(text.strip())


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _explain(error: ValidationError) -> str:
    """One line: the first wrong key, what was given, what is allowed."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{key}: no such key{_suggestion(key)}"
    problem = first["msg"].removeprefix("Value error, ")
    if first["type"] == "tuple_type":
        problem = 'a list is expected, as ["A", "B"]'
    given = "" if isinstance(first["input"], Mapping) else f"{first['input']!r} is not allowed: "
    return f"{key}: {given}{problem[0].lower()}{problem[1:]}"


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
