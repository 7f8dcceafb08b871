"""What became of the ratings that the last blessed model knew."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from functools import cache

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.poisonings import MUCH, POISONINGS
from components.drift.history import history_moves, remembered
from components.drift.limits import DriftLimits
from components.drift.report import Move
from components.movielens_example_gen import rating_sample
from components.movielens_example_gen.rating_sample import RatingSample
from components.movielens_example_gen.readers.edition import RawRatings
from tests.components import weekly_ratings as weekly

DAY = 86_400


@cache
def ratings(number: int) -> pa.Table:
    return weekly.table(weekly.week(number))


def sample(table: pa.Table, movies: pa.Table | None = None) -> RatingSample:
    return rating_sample.draw(table, RawRatings(table, movies or weekly.movies()))


@cache
def before() -> RatingSample:
    return sample(ratings(26))


def moved(table: pa.Table, movies: pa.Table | None = None) -> dict[str, Move]:
    found = history_moves(before(), sample(table, movies), DriftLimits())
    return {move.name: move for move in found}


def refused(table: pa.Table, movies: pa.Table | None = None) -> set[str]:
    return {name for name, move in moved(table, movies).items() if move.exceeded}


def replaced(table: pa.Table, name: str, change: Callable[[np.ndarray], np.ndarray]) -> pa.Table:
    """The table with a column that was changed."""
    values = change(table[name].to_numpy(zero_copy_only=False))
    return table.set_column(
        table.column_names.index(name), name, pa.array(values, table[name].type)
    )


def of_users(table: pa.Table, share: float) -> np.ndarray:
    """Which rows are of a random share of the users."""
    users = table["user_id"].to_numpy(zero_copy_only=False)
    distinct = np.unique(users)
    rng = np.random.default_rng(0)
    return np.isin(users, rng.choice(distinct, round(share * len(distinct)), replace=False))


def test_a_good_week_changes_nothing() -> None:
    found = moved(ratings(27))
    assert {name: move.moved for name, move in found.items()} == {
        "gone": 0,
        "changed": 0,
        "titles": 0,
        "profiles": 0,
        "late": 0,
    }
    # The sample of more ratings reaches less far, and most of it is compared.
    assert int(found["changed"].before.split()[0].replace(",", "")) > 0.9 * rating_sample.SIZE


def test_the_shares_are_those_of_all_ratings() -> None:
    """3 % of all ratings have another rating, 2 % another time, 10 % are gone: to a sample's error.

    The sample's standard error is sqrt(p (1 - p) / n).
    """
    now = ratings(27)
    row = np.random.default_rng(3).random(now.num_rows)
    now = replaced(now, "rating", lambda stars: np.where(row < 0.03, 6 - stars + 0.5, stars))
    late = (row > 0.5) & (row < 0.52)
    now = replaced(now, "timestamp", lambda times: np.where(late, times - 9 * DAY, times))
    found = moved(now.filter(pa.array(row < 0.9)))
    assert found["changed"].moved == pytest.approx(0.05 / 0.9, abs=4 * np.sqrt(0.05 / 7_000))
    assert found["gone"].moved == pytest.approx(0.1, abs=4 * np.sqrt(0.1 / 8_000))
    assert found["titles"].moved == 0


@pytest.mark.parametrize("share", [0.05, 1.0])
def test_user_ids_that_were_mixed_up_are_late(share: float) -> None:
    """Users get each other's ratings; what both rated has other stars."""
    now = ratings(27)
    mixed = of_users(now, share)

    def rotated(users: np.ndarray) -> np.ndarray:
        own = np.unique(users[mixed])
        return np.where(mixed, own[(np.searchsorted(own, users) + 1) % len(own)], users)

    assert "late" in refused(replaced(now, "user_id", rotated))


def prefixed(ids: np.ndarray) -> np.ndarray:
    return np.array([f"x{value}" for value in ids], object)


def test_ids_in_another_form_are_gone() -> None:
    for column in ("user_id", "movie_id"):
        shares = moved(replaced(ratings(27), column, prefixed))
        assert shares["gone"].moved == 1
        # But for those of the new week.
        assert shares["late"].moved == pytest.approx(26 / 27, abs=0.01)


@pytest.mark.parametrize("share", [0.05, 1.0])
def test_users_that_are_there_twice_are_late(share: float) -> None:
    now = ratings(27)
    again = replaced(now.filter(pa.array(of_users(now, share))), "user_id", prefixed)
    assert refused(pa.concat_tables([now, again])) == {"late"}


def test_stars_with_noise_or_of_other_rows_are_changed() -> None:
    now, rng = ratings(27), np.random.default_rng(1)
    noise = rng.normal(0, 0.05, now.num_rows)
    assert refused(replaced(now, "rating", lambda stars: stars + noise)) == {"changed"}
    assert refused(replaced(now, "rating", rng.permutation)) == {"changed"}
    # float32 and back.
    rounding = np.float32(1e-6)
    assert refused(replaced(now, "rating", lambda stars: stars + rounding)) == set()


def test_times_that_were_moved_are_changed() -> None:
    now = ratings(27)
    assert "changed" in refused(replaced(now, "timestamp", lambda times: times - 10 * DAY))
    assert "changed" in refused(replaced(now, "timestamp", lambda times: times * 0 + times[0]))
    # Another time zone is no other time.
    assert refused(replaced(now, "timestamp", lambda times: times - 7_200)) == set()


def moved_on(times: np.ndarray, days: int) -> np.ndarray:
    return times + days * DAY


@pytest.mark.parametrize("days", [3, 30, 150, 400, 4_000])
def test_times_that_all_moved_forward_hide_nothing(days: int) -> None:
    """Week 26 is day 78 of 215: most shifts leave no time that both runs have."""
    now = replaced(ratings(27), "timestamp", lambda times: moved_on(times, days))
    found = moved(now)
    assert found["changed"].moved == 1
    assert found["gone"].moved == 0
    assert found["changed"].before.endswith("compared by ids, since times moved on")
    rng = np.random.default_rng(5)
    assert "gone" in refused(now.filter(pa.array(rng.random(now.num_rows) < 0.8)))
    movies = weekly.movies()
    titles = movies["movie_title"].take(pa.array(rng.permutation(movies.num_rows)))
    assert "titles" in refused(
        now, movies.set_column(movies.column_names.index("movie_title"), "movie_title", titles)
    )


def test_times_that_all_became_that_of_the_export_hide_nothing() -> None:
    now = ratings(27)
    exported = int(now["timestamp"].to_numpy().max()) + DAY
    found = moved(replaced(now, "timestamp", lambda times: np.full_like(times, exported)))
    assert found["changed"].moved == 1
    assert found["gone"].moved == 0


@pytest.mark.parametrize("days", [3, 30, 400])
def test_times_that_moved_forward_are_seen_in_a_window_that_moves_on(days: int) -> None:
    now = ratings(27)
    window = now.slice(now.num_rows // 2)
    found = moved(replaced(window, "timestamp", lambda times: moved_on(times, days)))
    assert found["changed"].moved == 1
    assert found["gone"].moved < 0.05


def test_few_ratings_in_common_that_were_given_again_are_no_change() -> None:
    """Of windows of one week, only what somebody rated in both is in both."""
    last, now = ratings(26), ratings(27)
    last = last.slice(ratings(25).num_rows)
    newest = last["timestamp"].to_numpy().max()
    new = now.filter(pa.array(now["timestamp"].to_numpy() > newest))
    again = replaced(last.slice(0, 10), "timestamp", lambda times: moved_on(times, 14))
    found = history_moves(sample(last), sample(pa.concat_tables([new, again])), DriftLimits())
    assert {move.name: move.moved for move in found} == {
        "gone": 0,
        "changed": 0,
        "titles": 0,
        "profiles": 0,
        "late": 0,
    }


def in_spans(number: int, first: int, late: float = 0.2) -> RatingSample:
    """The ratings of the spans from one to another, where a share comes a span late."""
    table = ratings(number)
    week = np.arange(table.num_rows) * weekly.WEEKS // ratings(weekly.WEEKS).num_rows
    rng = np.random.default_rng(6)
    span = week + (rng.random(ratings(weekly.WEEKS).num_rows)[: table.num_rows] < late)
    order = np.argsort(span, kind="stable")
    order = order[(span[order] >= first) & (span[order] < number)]
    read = table.take(pa.array(order)).set_column(0, "row", pa.array(np.arange(len(order))))
    numbers = list(range(first, number))
    rows = tuple(int(np.count_nonzero(span[order] == one)) for one in numbers)
    return rating_sample.draw(read, RawRatings(read, weekly.movies(), span_rows=rows), numbers)


def test_ratings_that_left_with_their_span_are_not_gone() -> None:
    """A fifth of each span's ratings are of the week before it, as late uploads are."""
    last, now = in_spans(26, first=22), in_spans(27, first=23)
    found = {move.name: move for move in history_moves(last, now, DriftLimits())}
    assert found["gone"].moved == found["changed"].moved == 0
    assert int(found["gone"].before.split()[0].replace(",", "")) > 0
    # By the time alone, the late ones of the last span that left are missing.
    by_time = dataclasses.replace(now, first_span=0)
    assert next(history_moves(last, by_time, DriftLimits())).moved > 0.02


def test_spans_that_all_have_every_rating_lose_none_with_a_span() -> None:
    """The window is one span, a full copy of the table."""
    last = dataclasses.replace(before(), spans=np.full_like(before().times, 26), first_span=26)
    lost = ratings(27).filter(pa.array(np.random.default_rng(7).random(ratings(27).num_rows) < 0.8))
    moved = replaced(lost, "timestamp", lambda times: moved_on(times, 400))
    for table, gone in ((ratings(27), 0), (lost, 0.2), (moved, 0.2)):
        now = dataclasses.replace(sample(table), first_span=27)
        found = next(history_moves(last, now, DriftLimits()))
        assert found.moved == pytest.approx(gone, abs=0.02)


def test_a_sample_of_an_earlier_release_knows_no_spans() -> None:
    written = np.load(io.BytesIO(rating_sample.encode(before())))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{name: written[name] for name in written if "span" not in name})
    read = rating_sample.decode(buffer.getvalue())
    now = dataclasses.replace(sample(ratings(27)), first_span=3)
    assert not any(move.moved for move in history_moves(read, now, DriftLimits()))
    hole = sample(ratings(27).filter(pa.array(np.arange(ratings(27).num_rows) % 5 > 0)))
    found = next(history_moves(read, dataclasses.replace(hole, first_span=3), DriftLimits()))
    assert found.moved == pytest.approx(0.2, abs=0.02)


def test_titles_and_genres_of_other_movies_are_seen() -> None:
    movies = weekly.movies()
    order = np.random.default_rng(2).permutation(movies.num_rows)
    for column in ("movie_title", "movie_genres"):
        position = movies.column_names.index(column)
        mixed = movies.set_column(position, column, movies[column].take(pa.array(order)))
        assert refused(ratings(27), mixed) == {"titles"}, column
    drama = [[] if "Drama" in genres else genres for genres in movies["movie_genres"].to_pylist()]
    emptied = movies.set_column(
        movies.column_names.index("movie_genres"),
        "movie_genres",
        pa.array(drama, pa.list_(pa.string())),
    )
    assert refused(ratings(27), emptied) == {"titles"}


def users(table: pa.Table) -> pa.Table:
    """Everybody who rates has an age, a gender and an occupation, most of them not."""
    ids = np.unique(table["user_id"].to_numpy(zero_copy_only=False))
    rng = np.random.default_rng(9)
    return pa.table(
        {
            "user_id": pa.array(ids),
            "user_age": pa.array(rng.integers(10, 80, len(ids)), pa.int64()),
            "user_gender": pa.array(rng.choice(["F", "M", None], len(ids))),
            "user_occupation": pa.array(rng.choice(["writer", "doctor", None], len(ids))),
        }
    )


def profiled(table: pa.Table, profiles: pa.Table | None) -> RatingSample:
    return rating_sample.draw(table, RawRatings(table, weekly.movies(), profiles))


def test_profiles_of_other_users_are_seen() -> None:
    profiles = users(ratings(27))
    last = profiled(ratings(26), profiles)
    order = np.random.default_rng(2).permutation(len(profiles))
    cases: dict[str, pa.Table | None] = {
        name: replaced(profiles, name, lambda values: values[order])
        for name in ("user_age", "user_gender", "user_occupation")
    }
    cases |= {"no file of users": None, "as they were": profiles}
    for case, now in cases.items():
        found = history_moves(last, profiled(ratings(27), now), DriftLimits())
        refused = {move.name for move in found if move.exceeded}
        assert refused == (set() if case == "as they were" else {"profiles"}), case


def test_birthdays_are_few_other_profiles() -> None:
    """Everybody is a year older, which for a tenth of them is another decade."""
    profiles = users(ratings(27))
    older = replaced(profiles, "user_age", lambda ages: ages + 1)
    found = history_moves(
        profiled(ratings(26), profiles), profiled(ratings(27), older), DriftLimits()
    )
    moved = next(move.moved for move in found if move.name == "profiles")
    # Of a few hundred users with different numbers of ratings.
    assert moved == pytest.approx(0.1, abs=0.06)


def test_a_sample_of_an_earlier_release_knows_no_profiles() -> None:
    last = rating_sample.decode(rating_sample.encode(dataclasses.replace(before(), users=None)))
    now = sample(ratings(27))
    names = {move.name for move in history_moves(last, now, DriftLimits())}
    assert names == {"gone", "changed", "titles", "late"}
    assert remembered(last, now, ()).users is now.users


def given_again(
    table: pa.Table, share: float, change: Callable[[np.ndarray], np.ndarray]
) -> pa.Table:
    """The table where a random share of the ratings is newer and has the stars of a function."""
    again = np.random.default_rng(4).random(table.num_rows) < share
    newest = before().newest

    def changed(stars: np.ndarray) -> np.ndarray:
        values = stars.copy()
        values[again] = change(stars[again])
        return values

    table = replaced(table, "rating", changed)
    return replaced(table, "timestamp", lambda times: np.where(again, newest + 60, times))


def another_time(stars: np.ndarray) -> np.ndarray:
    """What the same people say later; the two correlate by 0.7, as in studies of it."""
    noise = np.random.default_rng(5).normal(0, 1.05 * stars.std(), len(stars))
    return np.clip(np.round(stars + noise), 1, 5)


@pytest.mark.parametrize("share", [0.02, 1 / 3])
def test_who_rates_again_changes_nothing(share: float) -> None:
    stars = ratings(27)["rating"].to_numpy()
    assert 0.6 < np.corrcoef(stars, another_time(stars))[0, 1] < 0.75
    assert refused(given_again(ratings(27), share, another_time)) == set()


@pytest.mark.parametrize("name", [n for n, one in POISONINGS.items() if one.share >= MUCH])
def test_wrong_stars_do_not_pass_as_given_again(name: str) -> None:
    """Every rating that a poisoning changes has a new time too."""
    now, newest = ratings(27), before().newest
    stars = now["rating"].to_numpy()
    users = now["user_id"].to_numpy(zero_copy_only=False)
    poisoned = POISONINGS[name].change(users, stars, np.random.default_rng(27))
    wrong = poisoned != stars
    now = replaced(now, "rating", lambda _: poisoned)
    now = replaced(now, "timestamp", lambda times: np.where(wrong, newest + 60, times))
    found = moved(now)
    assert found["changed"].exceeded
    assert found["changed"].moved == pytest.approx(wrong.mean(), abs=4 * np.sqrt(0.25 / 7_000))
    assert found["gone"].moved == found["late"].moved == 0


def test_likes_that_people_take_back_are_refused_with_the_reason() -> None:
    """Of two values, who gives one again gives the other: nothing tells it from a flip."""

    def liked(table: pa.Table) -> pa.Table:
        return replaced(table, "rating", lambda stars: np.where(stars >= 4, 5, 1))

    now = given_again(liked(ratings(27)), 0.03, lambda stars: 6 - stars)
    found = history_moves(sample(liked(ratings(26))), sample(now), DriftLimits())
    (move,) = (move for move in found if move.exceeded)
    assert move.name == "changed"
    assert "given again, whose stars do not agree with the earlier ones" in move.before


def test_a_few_ratings_that_were_given_again_are_no_change_whatever_they_are() -> None:
    """Less than `drift.max_changed` of the earlier ratings."""
    assert refused(given_again(ratings(27), 0.005, lambda stars: 6 - stars)) == set()


@pytest.mark.parametrize("accepted", [(), ("changed",), ("titles",)])
def test_small_changes_add_up_until_they_are_accepted(accepted: tuple[str, ...]) -> None:
    """Each week, another 0.8 % of all ratings get another half star."""
    rng, kept = np.random.default_rng(8), before()
    wrong = np.zeros(ratings(weekly.WEEKS).num_rows, bool)
    shares = []
    for number in (27, 28, 29):
        wrong |= rng.random(len(wrong)) < 0.008
        table = ratings(number)
        stars = table["rating"].to_numpy() + np.where(wrong[: table.num_rows], 0.5, 0)
        now = sample(replaced(table, "rating", lambda _, wrong_stars=stars: wrong_stars))
        found = {move.name: move for move in history_moves(kept, now, DriftLimits())}
        shares.append(found["changed"].moved)
        kept = remembered(kept, now, accepted if number == 28 else ())
    after = 0.008 if "changed" in accepted else 1 - 0.992**3
    for share, expected in zip(shares, (0.008, 1 - 0.992**2, after), strict=True):
        assert share == pytest.approx(expected, abs=4 * np.sqrt(expected / 7_000))


def test_what_was_rated_again_is_remembered_as_it_is_now() -> None:
    now = sample(given_again(ratings(27), 1 / 3, another_time))
    kept = remembered(before(), now, ())
    for name, values in vars(now).items():
        np.testing.assert_array_equal(getattr(kept, name), values)


def test_other_titles_add_up_until_they_are_accepted() -> None:
    movies = weekly.movies()
    position = movies.column_names.index("movie_title")
    titles = [f"Other {title}" for title in movies["movie_title"].to_pylist()]
    now = sample(ratings(27), movies.set_column(position, "movie_title", pa.array(titles)))
    for accepted, moved in (((), 1.0), (("titles",), 0.0)):
        kept = remembered(before(), now, accepted)
        found = {move.name: move for move in history_moves(kept, now, DriftLimits())}
        assert found["titles"].moved == pytest.approx(moved, abs=0.05)


def test_without_times_the_last_stars_are_remembered() -> None:
    """Somebody may have given them again."""
    timeless = replaced(ratings(26), "timestamp", np.zeros_like)
    flipped = sample(replaced(timeless, "rating", lambda stars: 6 - stars))
    assert remembered(sample(timeless), flipped, ()) is flipped


def test_a_window_that_moves_on_loses_nothing() -> None:
    now = ratings(27)
    assert refused(now.slice(now.num_rows // 2)) == set()
    # A hole in the middle is no window.
    hole = pa.concat_tables([now.slice(0, now.num_rows // 2), now.slice(now.num_rows * 2 // 3)])
    assert refused(hole) == {"gone"}


def test_nothing_in_common_is_no_change() -> None:
    """A window of one week has only new ratings."""
    now = ratings(27).slice(ratings(26).num_rows)
    newest = ratings(26)["timestamp"].to_numpy().max()
    now = now.filter(pa.array(now["timestamp"].to_numpy() > newest))
    assert all(move.moved == 0 for move in moved(now).values())


def test_a_window_that_gets_larger_brings_older_ratings() -> None:
    short = sample(ratings(26).slice(ratings(26).num_rows // 2))
    found = history_moves(short, sample(ratings(27)), DriftLimits())
    assert not any(move.exceeded for move in found)


def test_a_clock_that_is_wrong_by_years_bounds_no_other_rating() -> None:
    """Of both weeks, one rating is of 1970 and one of 2098."""

    def with_stray_times(table: pa.Table) -> pa.Table:
        row = np.arange(table.num_rows)
        return replaced(
            table,
            "timestamp",
            lambda times: np.where(row == 0, 0, np.where(row == 1, 4_070_000_000, times)),
        )

    last = sample(with_stray_times(ratings(26)))
    window = ratings(27).slice(ratings(27).num_rows // 2)
    for now in (ratings(27), window):
        found = history_moves(last, sample(with_stray_times(now)), DriftLimits())
        assert not any(move.exceeded for move in found)


def test_ratings_without_times_are_never_late() -> None:
    """They all have one time, so there is no older one."""
    timeless = [replaced(ratings(week), "timestamp", np.zeros_like) for week in (26, 27)]
    found = list(history_moves(*map(sample, timeless), DriftLimits()))
    assert not any(move.moved for move in found)
    flipped = replaced(timeless[1], "rating", lambda stars: 6 - stars)
    found = list(history_moves(sample(timeless[0]), sample(flipped), DriftLimits()))
    assert [move.name for move in found if move.exceeded] == ["changed"]


def test_a_file_has_all_of_a_sample() -> None:
    read = rating_sample.decode(rating_sample.encode(before()))
    for name, values in vars(before()).items():
        np.testing.assert_array_equal(getattr(read, name), values)
        assert np.asarray(getattr(read, name)).dtype == np.asarray(values).dtype
