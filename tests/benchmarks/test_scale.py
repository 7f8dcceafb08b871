"""How the growth of a run is fitted and shown."""

from __future__ import annotations

import pytest

from benchmarks import scale
from tests.benchmarks.rendering import rows

SIZES = [100_000, 1_000_000, 10_000_000]


def test_a_line_is_found_again() -> None:
    found = scale.growth(SIZES, [5 + 3 * size / 1e6 for size in SIZES])
    assert (found.fixed, found.per_million) == pytest.approx((5, 3))
    assert found.exponent < 1


@pytest.mark.parametrize("power", [1, 2])
def test_the_exponent_is_the_power_of_the_size(power: int) -> None:
    found = scale.growth(SIZES, [(size / 1e5) ** power for size in SIZES])
    assert found.exponent == pytest.approx(power)


def test_users_and_movies_are_those_of_movielens() -> None:
    assert scale.users_and_movies(25) == (162_541, 59_047)
    users, movies = scale.users_and_movies(3)
    assert 6_040 < users < 69_878
    assert 3_706 < movies < 10_677


def test_each_size_has_a_column() -> None:
    runs = [
        scale.Measured(
            ratings=size,
            steps={"Trainer": float(place)},
            seconds=10.0 * place,
            cpu_seconds=9.0,
            peak_mib=512.0,
            peak_mib_of_steps={"Trainer": 1500.0 * place},
            disk_mib=64.0,
            pushed=place > 1,
        )
        for place, size in enumerate(SIZES, 1)
    ]
    header, trainer, *_, pushed, peak = rows(scale.as_table(runs))
    assert header[1:4] == ["100,000", "1,000,000", "10,000,000"]
    assert trainer[:4] == ["Trainer", "1.0", "2.0", "3.0"]
    assert pushed[:4] == ["pushed", "no", "yes", "yes"]
    assert peak[:4] == ["Trainer, MiB", "1,500", "3,000", "4,500"]
    assert len(rows(scale.as_table(runs[:1]))[0]) == 2
