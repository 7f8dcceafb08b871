import math

import numpy as np
import pytest

from models.options import TrainingOptions
from models.training.schedules import learning_rates


def rates(steps: int = 10, **options: object) -> np.ndarray:
    chosen = TrainingOptions.model_validate({"epochs": 5, "learning_rate": 2.0, **options})
    return np.concatenate([learning_rates(chosen, epoch, steps) for epoch in range(1, 6)])


def test_cosine_runs_from_the_learning_rate_to_zero() -> None:
    found = rates(schedule="cosine")
    expected = [2.0 * 0.5 * (1 + math.cos(math.pi * step / 50)) for step in range(50)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_constant_stays() -> None:
    assert rates(schedule="constant").tolist() == [2.0] * 50


def test_warm_up_rises_to_the_schedule_and_leaves_it_alone() -> None:
    plain, warmed = rates(schedule="cosine"), rates(schedule="cosine", warmup_epochs=1.5)
    assert warmed[0] == pytest.approx(plain[0] / 15)
    assert warmed[7] == pytest.approx(plain[7] * 8 / 15)
    np.testing.assert_array_equal(warmed[15:], plain[15:])
