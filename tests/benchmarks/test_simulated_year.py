"""The order of a year's events, and what is counted at its end."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import simulated_year as year
from benchmarks.poisonings import POISONINGS
from benchmarks.simulated_year import Outcome
from tests.benchmarks.rendering import rows


def outcome(event: str, verdict: str, reason: str = "", disk_mib: float = 1.0) -> Outcome:
    return Outcome(3, event, verdict, reason, 7, 0.9, disk_mib, 30.0)


def test_every_week_has_a_good_run_and_every_fault_comes_once() -> None:
    events = year.schedule(52, 0)
    names = [event.name for event in events]
    assert [event.week for event in events if event.name == year.GOOD] == list(range(1, 53))
    assert {name: names.count(name) for name in POISONINGS} == dict.fromkeys(POISONINGS, 1)
    assert (names.count(year.FULL_DISK), names.count(year.ROLLBACK)) == (1, 1)
    assert [e.week for e in events if e.name == year.PRUNE] == list(range(4, 53, 4))
    assert min(event.week for event in events if event.name in POISONINGS) > 2


def test_a_fault_comes_before_the_good_run_of_its_week_and_a_rollback_after() -> None:
    events = year.schedule(52, 0)
    for place, event in enumerate(events):
        good = events.index(year.Event(event.week, year.GOOD))
        if event.name in (year.ROLLBACK, year.PRUNE):
            assert place > good
        elif event.name != year.GOOD:
            assert place < good


def test_the_seed_decides() -> None:
    assert year.schedule(52, 3) == year.schedule(52, 3)
    assert year.schedule(52, 3) != year.schedule(52, 4)


def test_a_short_year_has_all_faults_too() -> None:
    assert set(POISONINGS) <= {event.name for event in year.schedule(4, 0)}


def test_what_is_counted() -> None:
    found = year.count(
        [
            outcome("good week", "pushed"),
            outcome("good week", "refused", "RMSE 0.95 is above"),
            outcome("good week", "refused", "version 7 is pinned: 0.91 is no better", 9.0),
            outcome("all ratings 3", "stopped"),
            outcome("5 % of the users flipped", "pushed"),
            outcome("2 % of the users flipped", "pushed"),
            outcome("killed", "killed"),
        ]
    )
    assert (found.poisoned, found.poisoned_pushed) == (2, 1)
    assert (found.slightly_poisoned, found.slightly_poisoned_pushed) == (1, 1)
    assert (found.good, found.good_refused, found.kept_out_by_rollback) == (3, 1, 1)
    assert found.largest_disk_mib == 9.0


def test_each_event_has_a_row() -> None:
    _, row = rows(year.as_table([outcome("all ratings 3", "stopped", "moved too far")]))
    assert row[:3] == ["3", "all ratings 3", "stopped"]
    assert row[3:] == ["7", "0.9000", "1", "moved too far"]


@pytest.mark.parametrize("name", POISONINGS)
def test_a_poisoning_changes_its_share(name: str) -> None:
    rng = np.random.default_rng(5)
    users = np.repeat(np.arange(1_000), 20)
    # Two stars and four: each kind of poisoning changes either.
    stars = rng.choice([2.0, 4.0], len(users))
    poisoning = POISONINGS[name]
    changed = poisoning.change(users, stars, rng) != stars
    # Of stars that are given to each other half are the same by chance.
    visible = 0.5 if "shuffled" in name else 1.0
    assert changed.mean() == pytest.approx(poisoning.share * visible, abs=0.01)
    if "users" in name:
        by_user = changed.reshape(1_000, 20).mean(axis=1)
        assert set(by_user) <= {0.0, 1.0}
