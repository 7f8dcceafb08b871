"""What can be chosen about preprocessing, the model and its training.

These are the leaves of the pipeline's configuration and, as JSON, what the Transform and
Trainer steps receive. Nothing heavy is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, ValidationError, field_validator

from models.records import Options


class TransformOptions(Options):
    """Which users and movies get a place of their own in the vocabularies."""

    min_ratings_per_user: int = Field(1, ge=1, description="users with fewer are out-of-vocabulary")
    min_ratings_per_movie: int = Field(
        1, ge=1, description="movies with fewer are out-of-vocabulary"
    )


ModelName = Literal[
    "biased_mf",
    "sigmoid_mf",
    "sparse_mf",
    "svdpp",
    "collaborative_filtering",
    "two_tower",
    "multitask",
]
# Models that learn what is liked rather than, or besides, how it is rated.
_RETRIEVAL_MODELS = ("two_tower", "multitask")
_WITHOUT_RATINGS = ("two_tower",)


class ModelOptions(Options):
    """Which model, and its size and regularisation."""

    name: ModelName = Field("biased_mf", description="a name in models.registry")
    dimension: int = Field(100, ge=1, le=4096, description="embedding dimension")
    l2_embedding: float = Field(0.08, ge=0, description="L2 weight of the vectors, per rating")
    l2_bias: float = Field(0.005, ge=0, description="L2 weight of the biases, per rating")
    gravity: float = Field(0.0, ge=0, description="weight of the mean squared score, of sparse_mf")
    init_stddev: float = Field(0.02, gt=0, description="spread of the initial vectors")
    liked_rating: float = Field(
        4.0, description="lowest rating of what is liked, which retrieval models are to find"
    )
    rating_weight: float = Field(1.0, ge=0, description="weight of the rating's loss, of multitask")
    retrieval_weight: float = Field(
        1.0, ge=0, description="weight of the retrieval's loss, of multitask"
    )

    @property
    def predicts_ratings(self) -> bool:
        """Whether the model is judged by the error of its ratings."""
        return self.name not in _WITHOUT_RATINGS

    @property
    def retrieves(self) -> bool:
        """Whether the model is judged by where it ranks what is liked."""
        return self.name in _RETRIEVAL_MODELS


class TrainingOptions(Options):
    """How the model is trained. A learning rate is per batch mean of the loss."""

    epochs: int = Field(50, ge=1)
    batch_size: int = Field(512, ge=1)
    optimizer: Literal["sgd", "rmsprop", "adagrad", "adam"] = "sgd"
    learning_rate: float = Field(5.0, gt=0)
    schedule: Literal["constant", "cosine"] = "cosine"
    warmup_epochs: float = Field(0.0, ge=0, description="epochs in which the rate rises from zero")
    clip_norm: float = Field(0.0, ge=0, description="largest global norm of a gradient; 0: any")
    patience: int = Field(10, ge=1, description="epochs without a better eval figure to stop after")
    refit: bool = Field(True, description="train again on train + eval for the epochs found best")
    distribution: Literal["synchronous", "parameter_server"] = "synchronous"
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    memory_budget: int = Field(2048, ge=1, description="MiB of ratings of a split kept in memory")
    checkpoint_seconds: float = Field(60.0, ge=0, description="between two saves of all state")
    seed: int = Field(42, ge=0, lt=2**31)

    @property
    def memory_budget_bytes(self) -> int:
        """`memory_budget` as what `models.columns.ColumnStorage` takes."""
        return self.memory_budget << 20


class ExportOptions(Options):
    """What goes into the exported model beside its weights."""

    max_seen_per_user: int = Field(
        2000, ge=1, description="movies of a user that recommend leaves out, the newest"
    )


Range = tuple[float, float]


class TuningOptions(Options):
    """Which options are searched for, and how long."""

    enabled: bool = Field(False, description="search before training; --tune sets it")
    trials: int = Field(12, ge=1, le=1000, description="trainings that are compared")
    ranges: dict[str, Range] = Field(
        {}, description="lowest and highest value by key; if empty, see ranges_around"
    )

    @field_validator("ranges")
    @classmethod
    def _of_numbers(cls, ranges: dict[str, Range]) -> dict[str, Range]:
        for key, (lowest, highest) in ranges.items():
            if key not in _TUNABLE:
                raise ValueError(f"{key} cannot be tuned; allowed: {', '.join(_TUNABLE)}")
            if not lowest < highest:
                raise ValueError(f"{key}: the lowest value comes first, then a higher one")
            for bound in (lowest, highest):
                _check_bound(key, bound)
        return ranges

    def ranges_around(self, model: ModelOptions, training: TrainingOptions) -> dict[str, Range]:
        """The ranges; if there are none, half to double of rate and L2, where they are not 0."""
        return self.ranges or {
            key: (value / 2, value * 2)
            for key, value in (
                ("training.learning_rate", training.learning_rate),
                ("model.l2_embedding", model.l2_embedding),
            )
            if value > 0
        }


_SECTIONS: Mapping[str, type[Options]] = {"model": ModelOptions, "training": TrainingOptions}
# Options that are numbers. The seed and how a training is run are no matter of the model.
_TUNABLE = {
    f"{section}.{name}": field.annotation
    for section, options in _SECTIONS.items()
    for name, field in options.model_fields.items()
    if field.annotation in (int, float)
    and name not in ("seed", "memory_budget", "checkpoint_seconds", "liked_rating", "patience")
}


def with_values(
    model: ModelOptions, training: TrainingOptions, values: Mapping[str, float]
) -> tuple[ModelOptions, TrainingOptions]:
    """The options with some replaced, by `section.key`."""
    changed: dict[str, dict[str, float]] = {section: {} for section in _SECTIONS}
    for key, value in values.items():
        section, _, name = key.partition(".")
        changed[section][name] = value
    return (
        ModelOptions.model_validate({**model.model_dump(), **changed["model"]}),
        TrainingOptions.model_validate({**training.model_dump(), **changed["training"]}),
    )


def _check_bound(key: str, bound: float) -> None:
    """Raises ValueError unless the option may have this value."""
    section, _, name = key.partition(".")
    value = int(bound) if _TUNABLE[key] is int and bound == int(bound) else bound
    try:
        _SECTIONS[section].model_validate({name: value})
    except ValidationError as error:
        raise ValueError(f"{key}: {bound:g} is not allowed: {error.errors()[0]['msg']}") from error
