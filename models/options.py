"""Options of preprocessing, of models, and of their training, tuning and export.

They are the leaves of the pipeline's configuration and reach the Transform and Trainer steps as
JSON. This module imports neither TensorFlow nor TFX.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from models.records import Options
from models.registry import MODELS


class TransformOptions(Options):
    """Chooses the users and movies that enter the vocabularies."""

    min_ratings_per_user: int = Field(
        1, ge=1, description="Fewest ratings in train of a known user; others count as unknown."
    )
    min_ratings_per_movie: int = Field(
        1, ge=1, description="Fewest ratings in train of a known movie; others count as unknown."
    )


def _registered(name: str) -> str:
    if name not in MODELS:
        raise ValueError(f"expected one of {', '.join(MODELS)}")
    return name


ModelName = Annotated[str, AfterValidator(_registered)]
ChoiceWeightName = Literal["liked", "graded", "rated"]
_CHOICE_WEIGHTS: tuple[str, ...] = get_args(ChoiceWeightName)
RankingName = Literal["rating", "popularity_blend", "lower_bound"]


def _a_part(part: str) -> str:
    name, separator, weight = part.partition(":")
    if name not in MODELS or name == "blend" or (separator and weight not in _CHOICE_WEIGHTS):
        raise ValueError(
            f"{part}: expected a model other than blend, or one with a choice weight "
            f"({', '.join(_CHOICE_WEIGHTS)}), such as ease:graded"
        )
    return part


PartName = Annotated[str, AfterValidator(_a_part)]


class ModelOptions(Options):
    """Chooses a model, its size and its regularisation."""

    name: ModelName = Field("biased_mf", description="Name of the model.")
    dimension: int = Field(100, ge=1, le=4096, description="Embedding dimension.")
    l2_embedding: float = Field(
        0.08, ge=0, description="L2 weight of the vectors, per rating (svdpp: per row)."
    )
    l2_bias: float = Field(
        0.005, ge=0, description="L2 weight of the biases, per rating (svdpp: per row)."
    )
    gravity: float = Field(
        0.0, ge=0, description="Weight of the squared scores over all pairs (sparse_mf, ials)."
    )
    init_stddev: float = Field(0.02, gt=0, description="Standard deviation of the initial vectors.")
    liked_rating: float = Field(
        4.0, description="Lowest rating that counts as liked (retrieval models)."
    )
    choice_weight: ChoiceWeightName = Field(
        "liked",
        description="Weight of a rating as a choice: 1 if liked, graded by its stars, or 1 for any "
        "(two_tower, ease, ials).",
    )
    draw_dimension: int = Field(
        16, ge=1, le=256, description="Embedding dimension of one draw (bayesian_mf)."
    )
    noise_shape: float = Field(
        8.0,
        gt=0,
        description="Shape of the prior of the noise of a user or movie; lower values let them "
        "differ more (bayesian_mf).",
    )
    burn_in: int = Field(
        60, ge=0, description="First epochs that do not count in the mean (bayesian_mf)."
    )
    eigenvectors: int = Field(
        128,
        ge=1,
        description="Largest rank of the kernels of who rated what (bayesian_mf, svdpp).",
    )
    members: int = Field(
        1,
        ge=1,
        le=256,
        description="Factorisations that share the dimension and whose ratings are averaged "
        "(svdpp).",
    )
    memory_limit: int = Field(
        8192,
        ge=1,
        description="Largest memory in MiB for matrices over all pairs of movies (ease).",
    )
    parts: tuple[PartName, ...] = Field(
        ("two_tower:graded", "ease:graded", "ease:rated", "bayesian_mf"),
        min_length=1,
        description="Models whose scores are summed, each with a choice weight if it has one "
        "(blend).",
    )
    part_weights: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        (),
        description="Weights of the parts' scores; empty chooses them on hidden ratings (blend).",
    )
    part_epochs: int = Field(150, ge=1, description="Largest number of epochs of a part (blend).")
    rating_weight: float = Field(
        1.0, ge=0, description="Weight of the rating task's loss (multitask)."
    )
    retrieval_weight: float = Field(
        1.0, ge=0, description="Weight of the retrieval task's loss (multitask)."
    )

    @property
    def predicts_ratings(self) -> bool:
        """Whether the model predicts ratings and is judged by their error."""
        return MODELS[self.name].predicts_ratings

    @property
    def retrieves(self) -> bool:
        """Whether the model is judged by how it ranks what users like."""
        return MODELS[self.name].retrieves

    @property
    def uses_side_features(self) -> bool:
        """Whether the model learns from side features and serves new users and movies by theirs."""
        return MODELS[self.name].uses_side_features

    @property
    def predicts_intervals(self) -> bool:
        """Whether the model says how sure its ratings are."""
        return MODELS[self.name].predicts_intervals

    @property
    def trains_by_gradients(self) -> bool:
        """Whether the GradientTape loop trains the model, not its own `fit`."""
        return MODELS[self.name].by_gradients

    @property
    def similarity_dimension(self) -> int:
        """Number of first entries of a movie's vector that measure how similar movies are."""
        return sum(part.dimension for part, _ in part_options(self, 0)) or self.dimension

    @model_validator(mode="after")
    def _check_part_weights(self) -> ModelOptions:
        if self.part_weights and len(self.part_weights) != len(self.parts):
            raise ValueError(
                f"part_weights has {len(self.part_weights)} numbers and parts has "
                f"{len(self.parts)}: expected one for each, or none"
            )
        if self.part_weights and not any(self.part_weights):
            raise ValueError("part_weights are all 0: expected a larger one")
        return self


class TrainingOptions(Options):
    """Controls the training of a model. Learning rates refer to a batch's mean loss."""

    epochs: int = Field(50, ge=1, description="Largest number of epochs.")
    batch_size: int = Field(512, ge=1, description="Ratings in a batch, over all replicas.")
    optimizer: Literal["sgd", "rmsprop", "adagrad", "adam"] = Field(
        "sgd", description="Optimizer; it updates only the rows that a batch uses."
    )
    learning_rate: float = Field(5.0, gt=0, description="Initial learning rate.")
    schedule: Literal["constant", "cosine"] = Field(
        "cosine", description="Course of the learning rate over all epochs."
    )
    warmup_epochs: float = Field(
        0.0, ge=0, description="Epochs in which the learning rate rises from zero."
    )
    clip_norm: float = Field(
        0.0, ge=0, description="Largest global norm of a gradient; 0 clips nothing."
    )
    patience: int = Field(
        10, ge=1, description="Epochs without a better eval figure before training stops."
    )
    ranked_users: int = Field(
        2000,
        ge=1,
        description="Eval users at most whose movies are ranked after an epoch (retrieval models).",
    )
    refit: bool = Field(
        True, description="Train again on train and eval for the best number of epochs."
    )
    warm_start: bool = Field(
        False,
        description="Start from the weights of the newest comparable model that was pushed.",
    )
    warm_epochs: float = Field(
        0.3, gt=0, le=1, description="Share of the epochs that a warm start has at most."
    )
    warm_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of the earlier weights in a warm start; the rest are initial weights.",
    )
    warm_rate: float = Field(
        0.7, gt=0, description="Share of the learning rate with which a warm start begins."
    )
    distribution: Literal["synchronous", "parameter_server"] = Field(
        "synchronous", description="Distribution over several devices or workers."
    )
    precision: Literal["float32", "mixed_bfloat16"] = Field(
        "float32", description="Precision of products; sums and weights stay float32."
    )
    memory_budget: int = Field(
        2048, ge=1, description="MiB of ratings of a split kept in memory; the rest lie in files."
    )
    checkpoint_seconds: float = Field(
        60.0, ge=0, description="Seconds between two saves of the training state."
    )
    seed: int = Field(
        42, ge=0, lt=2**31, description="Seed of the initial vectors and the order of ratings."
    )

    @property
    def of_warm_start(self) -> TrainingOptions:
        """The options of a training that begins with the weights of an earlier one."""
        return self.model_copy(
            update={
                "epochs": math.ceil(self.epochs * self.warm_epochs),
                "learning_rate": self.learning_rate * self.warm_rate,
            }
        )

    @property
    def memory_budget_bytes(self) -> int:
        """The memory budget in bytes."""
        return self.memory_budget << 20


class ExportOptions(Options):
    """Controls what the exported model holds beside its weights."""

    max_seen_per_user: int = Field(
        2000, ge=1, description="Newest movies of a user that recommend leaves out."
    )
    rank_by: RankingName = Field(
        "popularity_blend",
        description="Order of recommend: the predicted rating alone, with the movie's popularity, "
        "or its lower bound (models that predict ratings).",
    )
    rank_weight: float = Field(
        1.0,
        ge=0,
        le=100,
        description="Weight in standard deviations: of the logarithm of the number of ratings "
        "(popularity_blend), or how far the bound lies below the rating (lower_bound).",
    )

    def check_model(self, model: ModelOptions) -> None:
        """Raises ValueError if the recommendations of a model cannot be ranked so."""
        if self.rank_by == "lower_bound" and not model.predicts_intervals:
            able = ", ".join(name for name, entry in MODELS.items() if entry.predicts_intervals)
            raise ValueError(
                f"export.rank_by: {model.name} has no lower bound of its ratings; expected "
                f"popularity_blend or rating, or model.name {able}"
            )


Range = tuple[float, float]


class TuningOptions(Options):
    """Controls the search for better options before the training."""

    enabled: bool = Field(False, description="Search before training; --tune sets it.")
    trials: int = Field(12, ge=1, le=1000, description="Number of trainings that are compared.")
    ranges: dict[str, Range] = Field(
        {},
        description="Lowest and highest value by key; by default half to double of the learning "
        "rate and of model.l2_embedding.",
    )

    @field_validator("ranges")
    @classmethod
    def _allowed(cls, ranges: dict[str, Range]) -> dict[str, Range]:
        for key, (lowest, highest) in ranges.items():
            if key not in _TUNABLE:
                raise ValueError(f"{key} cannot be tuned; allowed: {', '.join(_TUNABLE)}")
            if not lowest < highest:
                raise ValueError(
                    f"{key}: [{lowest:g}, {highest:g}] is not a range: put the lowest value first"
                )
            for bound in (lowest, highest):
                _check_bound(key, bound)
        return ranges

    def ranges_around(self, model: ModelOptions, training: TrainingOptions) -> dict[str, Range]:
        """Returns the ranges to search, by key.

        Without configured ranges they are half to double of the learning rate and of
        `l2_embedding`, each only where it is not 0 and the model has it.

        Args:
            model: Configured options of the model.
            training: Configured options of the training.
        """
        return self.ranges or {
            key: (value / 2, value * 2)
            for key, value in (
                (
                    "training.learning_rate",
                    training.learning_rate if model.trains_by_gradients else 0,
                ),
                ("model.l2_embedding", model.l2_embedding),
            )
            if value > 0
        }


_SECTIONS: Mapping[str, type[Options]] = {"model": ModelOptions, "training": TrainingOptions}
# Numeric options. The seed, and options that only say how a training runs, are left out.
_TUNABLE = {
    f"{section}.{name}": field.annotation
    for section, options in _SECTIONS.items()
    for name, field in options.model_fields.items()
    if field.annotation in (int, float)
    and name
    not in (
        "seed",
        "memory_budget",
        "memory_limit",
        "checkpoint_seconds",
        "liked_rating",
        "patience",
        "ranked_users",
        "warm_epochs",
        "warm_share",
        "warm_rate",
        "part_epochs",
    )
}


def part_options(
    options: ModelOptions, seed: int
) -> tuple[tuple[ModelOptions, TrainingOptions], ...]:
    """Returns the options of the parts of a blend; none for another model.

    A part has the defaults of its model, at most `dimension` and `part_epochs` of the blend, and
    what the blend's options say about the data and the machine.

    Args:
        options: Options of the blend.
        seed: Seed of the parts' trainings.
    """
    if options.name != "blend":
        return ()
    chosen = []
    for part in options.parts:
        name, _, weight = part.partition(":")
        model = ModelOptions.model_validate({"name": name, **MODELS[name].model})
        training = TrainingOptions.model_validate(MODELS[name].training)
        changes: dict[str, Any] = {
            "dimension": min(model.dimension, options.dimension),
            "liked_rating": options.liked_rating,
            "memory_limit": options.memory_limit,
        }
        if weight:
            changes["choice_weight"] = weight
        epochs = min(training.epochs, options.part_epochs)
        chosen.append(
            (
                model.model_copy(update=changes),
                training.model_copy(update={"epochs": epochs, "seed": seed}),
            )
        )
    return tuple(chosen)


def with_values(
    model: ModelOptions, training: TrainingOptions, values: Mapping[str, float]
) -> tuple[ModelOptions, TrainingOptions]:
    """Returns the options with some values replaced.

    Args:
        model: Options of the model.
        training: Options of the training.
        values: New values by `section.key`.
    """
    changed: dict[str, dict[str, float]] = {section: {} for section in _SECTIONS}
    for key, value in values.items():
        section, _, name = key.partition(".")
        changed[section][name] = value
    return (
        ModelOptions.model_validate({**model.model_dump(), **changed["model"]}),
        TrainingOptions.model_validate({**training.model_dump(), **changed["training"]}),
    )


def _check_bound(key: str, bound: float) -> None:
    """Raises ValueError if the option does not allow this value."""
    section, _, name = key.partition(".")
    value = int(bound) if _TUNABLE[key] is int and bound == int(bound) else bound
    try:
        _SECTIONS[section].model_validate({name: value})
    except ValidationError as error:
        raise ValueError(f"{key}: {bound:g} is not allowed: {error.errors()[0]['msg']}") from error
