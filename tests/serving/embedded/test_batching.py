"""Batches of hand-made calls; threads meet by events, so that nothing depends on the clock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from serving.embedded import batching as batching_module
from serving.embedded.batching import Arrays, Batcher, BatcherClosedError, QueueFullError
from serving.server_options import BatchingOptions

# Of a batch that is to close because it is full, never because time has passed.
HOURS = 10_000_000_000
SECONDS = 60


class Model:
    """Doubles `x`, remembers what it was called with, and stands still while it is held."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.called = threading.Semaphore(0)
        self.free = threading.Event()
        self.free.set()
        self._lock = threading.Lock()

    def __call__(self, inputs: Arrays) -> Arrays:
        with self._lock:
            self.batches.append(inputs["x"].tolist())
        self.called.release()
        assert self.free.wait(SECONDS)
        if (inputs["x"] < 0).any():
            raise ValueError(f"{inputs['x'].min()} is negative")
        return {"y": inputs["x"] * 2}


class WatchedBatcher(Batcher):
    """Says when a request has joined a batch, and when the thread of calls has taken one."""

    def __init__(self, call: Callable[[Arrays], Arrays], options: BatchingOptions) -> None:
        self.joined = threading.Semaphore(0)
        self.taken = threading.Semaphore(0)
        self.max_batch_size = options.max_batch_size
        super().__init__(call, options)

    def _join(self, request: Any) -> Any:
        try:
            return super()._join(request)
        finally:
            self.joined.release()

    def _run(self, batch: Any) -> Arrays:
        self.taken.release()
        return super()._run(batch)


@contextmanager
def batching(call: Callable[[Arrays], Arrays], **options: int) -> Iterator[WatchedBatcher]:
    batcher = WatchedBatcher(call, BatchingOptions(**options))
    try:
        yield batcher
    finally:
        batcher.close()


@contextmanager
def busy(model: Model, batcher: WatchedBatcher, pool: ThreadPoolExecutor) -> Iterator[None]:
    """Within it, the one call that may run at a time does, and what comes waits."""
    model.free.clear()
    filler = pool.submit(batcher.submit, {"x": np.zeros(batcher.max_batch_size)}, None)
    assert model.called.acquire(timeout=SECONDS)
    model.batches.clear()
    try:
        yield
    finally:
        model.free.set()
        filler.result(SECONDS)


def ask(pool: ThreadPoolExecutor, batcher: WatchedBatcher, *values: int) -> Future[list[int]]:
    """In another thread; comes back when the request has joined a batch."""

    def answer() -> list[int]:
        return batcher.submit({"x": np.array(values)}, SECONDS)["y"].tolist()

    while batcher.joined.acquire(blocking=False):
        pass
    asked = pool.submit(answer)
    assert batcher.joined.acquire(timeout=SECONDS)
    return asked


@pytest.fixture
def model() -> Iterator[Model]:
    made = Model()
    yield made
    made.free.set()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(64) as made:
        yield made


def test_a_request_by_itself_is_answered_without_others(model: Model) -> None:
    with batching(model, timeout_micros=1) as batcher:
        assert batcher.submit({"x": np.array([1, 2])}, None)["y"].tolist() == [2, 4]
    assert model.batches == [[1, 2]]


def test_a_full_batch_does_not_wait(model: Model, pool: ThreadPoolExecutor) -> None:
    with batching(model, max_batch_size=4, timeout_micros=HOURS) as batcher:
        answers = [ask(pool, batcher, 1), ask(pool, batcher, 2, 3), ask(pool, batcher, 4)]
        assert [answer.result(SECONDS) for answer in answers] == [[2], [4, 6], [8]]
    assert model.batches == [[1, 2, 3, 4]]


def test_what_does_not_fit_closes_the_batch_before_it(
    model: Model, pool: ThreadPoolExecutor
) -> None:
    with batching(model, max_batch_size=4, timeout_micros=HOURS) as batcher:
        answers = [ask(pool, batcher, 1, 2, 3), ask(pool, batcher, 4, 5), ask(pool, batcher, 6, 7)]
        assert [answer.result(SECONDS) for answer in answers] == [[2, 4, 6], [8, 10], [12, 14]]
    assert model.batches == [[1, 2, 3], [4, 5, 6, 7]]


def test_what_comes_during_a_call_makes_the_next_batches(
    model: Model, pool: ThreadPoolExecutor
) -> None:
    with batching(model, max_batch_size=3, timeout_micros=0) as batcher:
        with busy(model, batcher, pool):
            answers = [ask(pool, batcher, value) for value in range(1, 8)]
        assert [answer.result(SECONDS) for answer in answers] == [[2 * n] for n in range(1, 8)]
    assert model.batches == [[1, 2, 3], [4, 5, 6], [7]]


def test_a_request_larger_than_a_batch_is_called_in_parts(model: Model) -> None:
    with batching(model, max_batch_size=3, timeout_micros=HOURS) as batcher:
        answer = batcher.submit({"x": np.arange(8)}, SECONDS)
    assert answer["y"].tolist() == [0, 2, 4, 6, 8, 10, 12, 14]
    assert model.batches == [[0, 1, 2], [3, 4, 5], [6, 7]]


def test_no_rows_are_an_answer_too(model: Model, pool: ThreadPoolExecutor) -> None:
    with batching(model, max_batch_size=3, timeout_micros=0) as batcher:
        assert batcher.submit({"x": np.arange(0)}, SECONDS)["y"].tolist() == []
        with busy(model, batcher, pool):
            answers = [ask(pool, batcher, 1), ask(pool, batcher), ask(pool, batcher, 2)]
        assert [answer.result(SECONDS) for answer in answers] == [[2], [], [4]]


def test_what_is_not_in_rows_goes_to_the_model_as_it_is() -> None:
    def call(inputs: Arrays) -> Arrays:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in inputs.items())
        raise ValueError(shapes)

    with batching(call, timeout_micros=HOURS) as batcher:
        with pytest.raises(ValueError, match=r"user \(2,\), movie \(3,\)"):
            batcher.submit({"user": np.zeros(2), "movie": np.zeros(3)}, None)
        with pytest.raises(ValueError, match=r"k \(\)"):
            batcher.submit({"k": np.zeros(())}, None)


def test_arrays_of_other_types_or_names_are_not_joined(pool: ThreadPoolExecutor) -> None:
    seen: list[dict[str, np.dtype[np.generic]]] = []

    def call(inputs: Arrays) -> Arrays:
        seen.append({name: array.dtype for name, array in inputs.items()})
        return inputs

    kinds = [
        {"x": np.array([1, 2], np.int64)},
        {"x": np.array([1.5], np.float32)},
        {"z": np.array([1.5], np.float32)},
        {"x": np.array([[b"a", b"bc"]], object)},
    ]
    with batching(call, timeout_micros=1000) as batcher:
        answers = list(pool.map(lambda kind: batcher.submit(kind, SECONDS), kinds * 5))
    for kind, answer in zip(kinds * 5, answers, strict=True):
        assert answer.keys() == kind.keys()
        for name, array in kind.items():
            np.testing.assert_array_equal(answer[name], array, strict=True)
    known = [{name: array.dtype for name, array in kind.items()} for kind in kinds]
    assert all(types in known for types in seen)


def test_one_bad_request_fails_by_itself(model: Model, pool: ThreadPoolExecutor) -> None:
    with batching(model, max_batch_size=4, timeout_micros=HOURS) as batcher:
        answers = [ask(pool, batcher, value) for value in (1, -2, 3, -4)]
        assert answers[0].result(SECONDS) == [2]
        assert answers[2].result(SECONDS) == [6]
        with pytest.raises(ValueError, match="-2 is negative"):
            answers[1].result(SECONDS)
        with pytest.raises(ValueError, match="-4 is negative"):
            answers[3].result(SECONDS)
    assert model.batches[0] == [1, -2, 3, -4]
    assert sorted(model.batches[1:]) == [[-4], [-2], [1], [3]]


def test_a_request_alone_in_its_batch_is_not_called_again(model: Model) -> None:
    with batching(model, timeout_micros=0) as batcher:
        with pytest.raises(ValueError, match="-1 is negative"):
            batcher.submit({"x": np.array([-1])}, None)
        assert batcher.submit({"x": np.array([1])}, None)["y"].tolist() == [2]
    assert model.batches == [[-1], [1]]


def test_answers_that_are_not_in_rows_are_not_shared_out(pool: ThreadPoolExecutor) -> None:
    def call(inputs: Arrays) -> Arrays:
        return {"y": inputs["x"].sum(keepdims=True)}

    with batching(call, max_batch_size=4, timeout_micros=HOURS) as batcher:
        answers = [ask(pool, batcher, 1, 2), ask(pool, batcher, 3, 4)]
        assert [answer.result(SECONDS) for answer in answers] == [[3], [7]]


def test_more_batches_than_may_wait_are_refused(model: Model, pool: ThreadPoolExecutor) -> None:
    with batching(model, max_batch_size=2, timeout_micros=0, max_enqueued_batches=2) as batcher:
        with busy(model, batcher, pool):
            answers = [ask(pool, batcher, value) for value in range(4)]
            with pytest.raises(QueueFullError, match="2 batches are waiting"):
                batcher.submit({"x": np.array([9])}, SECONDS)
        assert [answer.result(SECONDS) for answer in answers] == [[0], [2], [4], [6]]
        assert batcher.submit({"x": np.array([9])}, SECONDS)["y"].tolist() == [18]


def test_who_waits_longer_than_the_deadline_is_told_so(
    model: Model, pool: ThreadPoolExecutor
) -> None:
    with batching(model, max_batch_size=2, timeout_micros=HOURS) as batcher:
        with busy(model, batcher, pool):
            with pytest.raises(TimeoutError):
                batcher.submit({"x": np.array([1])}, 0.01)
            answer = ask(pool, batcher, 2)
        assert answer.result(SECONDS) == [4]
    # Nobody waited for the first any more.
    assert model.batches == [[2]]


@pytest.mark.parametrize("rows", [1, 9])
def test_a_deadline_that_has_passed_is_not_called_for(model: Model, rows: int) -> None:
    with (
        batching(model, max_batch_size=4, timeout_micros=0) as batcher,
        pytest.raises(TimeoutError),
    ):
        batcher.submit({"x": np.zeros(rows)}, 0)
    assert model.batches == []


def test_a_deadline_passes_between_two_parts(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(batching_module, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def call(inputs: Arrays) -> Arrays:
        now[0] += 2
        return model(inputs)

    with batching(call, max_batch_size=2) as batcher, pytest.raises(TimeoutError):
        batcher.submit({"x": np.zeros(8)}, 3)
    assert model.batches == [[0, 0], [0, 0]]


def test_closing_fails_what_waits_and_answers_what_runs(
    model: Model, pool: ThreadPoolExecutor
) -> None:
    batcher = WatchedBatcher(model, BatchingOptions(max_batch_size=2, timeout_micros=HOURS))
    model.free.clear()
    running = pool.submit(batcher.submit, {"x": np.array([1, 2])}, None)
    assert model.called.acquire(timeout=SECONDS)
    waiting = [ask(pool, batcher, value) for value in (3, 4, 5)]
    closing = pool.submit(batcher.close)
    for answer in waiting:
        with pytest.raises(BatcherClosedError, match="no longer served"):
            answer.result(SECONDS)
    model.free.set()
    assert running.result(SECONDS)["y"].tolist() == [2, 4]
    closing.result(SECONDS)
    for rows in (1, 5):
        with pytest.raises(BatcherClosedError):
            batcher.submit({"x": np.zeros(rows)}, None)
    batcher.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batcher")]


def test_a_batch_that_is_being_filled_is_called_when_closing(
    model: Model, pool: ThreadPoolExecutor
) -> None:
    with batching(model, max_batch_size=4, timeout_micros=HOURS) as batcher:
        answer = ask(pool, batcher, 1)
        assert batcher.taken.acquire(timeout=SECONDS)
    assert answer.result(SECONDS) == [2]


@pytest.mark.parametrize("timeout_micros", [0, 200])
def test_many_threads_each_get_their_own_rows(
    model: Model, pool: ThreadPoolExecutor, timeout_micros: int
) -> None:
    def client(number: int) -> None:
        for asked in range(50):
            rows = np.arange(number * 1000 + asked, number * 1000 + asked + asked % 7)
            answer = batcher.submit({"x": rows}, SECONDS)
            np.testing.assert_array_equal(answer["y"], rows * 2, strict=True)

    with batching(model, max_batch_size=20, timeout_micros=timeout_micros) as batcher:
        list(pool.map(client, range(16)))
    assert max(len(batch) for batch in model.batches) <= 20
    assert sum(len(batch) for batch in model.batches) == 16 * sum(n % 7 for n in range(50))
