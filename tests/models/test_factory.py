import numpy as np
import pytest
import tensorflow as tf

from models.contracts import predicts_ratings, trains_by_gradients
from models.factory import build_model
from models.options import ModelOptions
from models.registry import MODELS
from tests.models.factories import ratings, statistics


@pytest.mark.parametrize("name", MODELS)
def test_the_model_is_of_the_registered_class_and_rates_as_it_says(name: str) -> None:
    options = ModelOptions(name=name, dimension=2)
    model = build_model(options, statistics(), seed=1)
    kind = type(model)
    assert f"{kind.__module__}.{kind.__name__}" == MODELS[name].implementation
    assert options.predicts_ratings == predicts_ratings(model)
    assert options.trains_by_gradients == trains_by_gradients(model)


def test_mixed_precision_multiplies_in_bfloat16_and_keeps_the_rest(
    rng: np.random.Generator,
) -> None:
    options = ModelOptions(dimension=16, init_stddev=0.5)
    whole, mixed = (
        build_model(options, statistics(), 1, precision)
        for precision in ("float32", "mixed_bfloat16")
    )
    batch = {name: tf.constant(values) for name, values in ratings(rng).items()}
    with tf.GradientTape() as tape:
        loss = mixed.compute_loss(batch)
    expected = whole.compute_loss(batch)
    # bfloat16 keeps eight bits of a product.
    assert 0 < abs(loss / expected - 1) < 2**-7
    assert loss.dtype == tf.float32
    gradients = tape.gradient(loss, mixed.trainable_variables)
    assert {gradient.dtype for gradient in gradients} == {tf.float32}
    assert {variable.dtype for variable in mixed.trainable_variables} == {tf.float32}
    pairs = batch["user_index"], batch["movie_index"]
    np.testing.assert_array_equal(mixed.predict_rating(*pairs), whole.predict_rating(*pairs))


def test_the_precision_of_one_model_is_not_that_of_the_next() -> None:
    build_model(ModelOptions(), statistics(), 1, "mixed_bfloat16")
    assert tf.keras.mixed_precision.global_policy().name == "float32"
    with pytest.raises(ValueError, match="int7"):
        build_model(ModelOptions(), statistics(), 1, "int7")
    assert tf.keras.mixed_precision.global_policy().name == "float32"
