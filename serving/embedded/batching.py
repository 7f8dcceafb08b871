"""Batching: concurrent requests answered in one call of the model."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from serving.errors import ServingError
from serving.server_options import BatchingOptions

_CLOSED: Final = "this version of the model is no longer served: try again"

Arrays = Mapping[str, np.ndarray[Any, np.dtype[Any]]]


class QueueFullError(ServingError):
    """The most batches allowed are already waiting."""


class BatcherClosedError(ServingError):
    """The batcher was closed before the request was answered."""


class Batcher:
    """Joins the rows of concurrent requests, and gives each its own rows of the answer.

    One call runs at a time; requests that come meanwhile form the next batches. If a batch fails,
    each of its requests is called alone, so that each gets its answer or its own error.
    """

    def __init__(self, call: Callable[[Arrays], Arrays], options: BatchingOptions) -> None:
        """Starts with no request.

        Args:
            call: Function that calls the model. Row i of its outputs depends on row i of its inputs
                alone. Several threads may call it at once.
            options: Sizes and times.
        """
        self._call = call
        self._options = options
        self._lock = threading.Lock()
        self._open: _Batch | None = None
        self._enqueued = 0
        self._closed = False
        self._caller = ThreadPoolExecutor(1, thread_name_prefix="batcher")

    def submit(self, inputs: Arrays, timeout_seconds: float | None) -> Arrays:
        """Returns the outputs for these inputs, once they are there.

        Inputs with more rows than a batch are called in parts. Inputs without common rows are
        called as they are, so that the model says what is wrong. Both run in this thread.

        Args:
            inputs: Arrays with equal first axes.
            timeout_seconds: Seconds from now; None waits as long as it takes.

        Raises:
            QueueFullError: Too many batches wait.
            TimeoutError: The time is over. A running call is not interrupted.
            BatcherClosedError: The batcher was closed before the call.
        """
        deadline = math.inf if timeout_seconds is None else time.monotonic() + timeout_seconds
        self._check_open()
        rows = _rows(inputs)
        if rows is None:
            return self._call_alone(inputs, deadline)
        if rows > self._options.max_batch_size:
            return self._call_in_parts(inputs, rows, deadline)
        request = _Request(inputs, rows)
        batch = self._join(request)
        try:
            failed = batch.answer.exception(_seconds_left(deadline)) is not None
        except TimeoutError:
            request.abandoned = True
            raise
        except CancelledError:
            raise BatcherClosedError(_CLOSED) from None
        if batch.alone:
            return batch.answer.result()
        if failed:
            return self._call_alone(inputs, deadline)
        return _part(batch.answer.result(), request.start, rows)

    def close(self) -> None:
        """Waits for the running call, fails the requests of later batches, and ends the thread."""
        with self._lock:
            self._closed = True
            if self._open is not None:
                self._open.full.set()
        self._caller.shutdown(wait=True, cancel_futures=True)

    def _check_open(self) -> None:
        if self._closed:
            raise BatcherClosedError(_CLOSED)

    def _join(self, request: _Request) -> _Batch:
        """Adds the request to the open batch if it fits, else to a new one; returns the batch."""
        with self._lock:
            self._check_open()
            batch = self._open
            if batch is not None and batch.takes(request):
                batch.requests.append(request)
            else:
                batch = self._opened(request)
            if batch.rows >= self._options.max_batch_size:
                batch.full.set()
                self._open = None
            return batch

    def _opened(self, request: _Request) -> _Batch:
        if self._enqueued >= self._options.max_enqueued_batches:
            raise QueueFullError(
                f"{self._enqueued} batches are waiting, the limit: try again later, or less often"
            )
        if self._open is not None:
            self._open.full.set()
        batch = _Batch([request], self._options.max_batch_size)
        batch.answer = self._caller.submit(self._run, batch)
        self._enqueued += 1
        self._open = batch
        return batch

    def _run(self, batch: _Batch) -> Arrays:
        """Waits for the rest of the batch, then calls the model; runs in the batcher's thread."""
        with self._lock:
            self._enqueued -= 1
        closes = batch.opened + self._options.timeout_micros / 1e6
        batch.full.wait(max(0.0, closes - time.monotonic()))
        with self._lock:
            if self._open is batch:
                self._open = None
        return batch.call(self._call)

    def _call_alone(self, inputs: Arrays, deadline: float) -> Arrays:
        _seconds_left(deadline)
        return self._call(inputs)

    def _call_in_parts(self, inputs: Arrays, rows: int, deadline: float) -> Arrays:
        size = self._options.max_batch_size
        parts = [
            self._call_alone(_part(inputs, start, size), deadline) for start in range(0, rows, size)
        ]
        return _joined(parts)


@dataclass(eq=False)
class _Request:
    """One request; its rows start at row `start` of its batch."""

    inputs: Arrays
    rows: int
    start: int = 0
    abandoned: bool = False


@dataclass(eq=False)
class _Batch:
    """Requests answered in one call."""

    requests: list[_Request]
    max_rows: int
    opened: float = field(default_factory=time.monotonic)
    full: threading.Event = field(default_factory=threading.Event)
    answer: Future[Arrays] = field(init=False)
    alone: bool = False

    @property
    def rows(self) -> int:
        return sum(request.rows for request in self.requests)

    def takes(self, request: _Request) -> bool:
        """Returns whether the request's rows can be joined to the others'."""
        fits = self.rows + request.rows <= self.max_rows
        return fits and _form(request.inputs) == _form(self.requests[0].inputs)

    def call(self, call: Callable[[Arrays], Arrays]) -> Arrays:
        """Returns the outputs of the requests that still wait, in their order."""
        waiting = [request for request in self.requests if not request.abandoned]
        self.alone = len(waiting) == 1
        if not waiting:
            return {}
        if self.alone:
            return call(waiting[0].inputs)
        rows = 0
        for request in waiting:
            request.start = rows
            rows += request.rows
        outputs = call(_joined([request.inputs for request in waiting]))
        if _rows(outputs) != rows:
            raise ServingError(f"an output of the model has not the {rows} rows of its inputs")
        return outputs


def _rows(arrays: Arrays) -> int | None:
    """Returns the length of the first axes; None if they differ or there is none."""
    lengths = {array.shape[0] if array.ndim else None for array in arrays.values()}
    return lengths.pop() if len(lengths) == 1 else None


def _form(arrays: Arrays) -> dict[str, tuple[np.dtype[Any], tuple[int, ...]]]:
    """Returns the properties that joined arrays must have in common."""
    return {name: (array.dtype, array.shape[1:]) for name, array in arrays.items()}


def _joined(parts: list[Arrays]) -> Arrays:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _part(arrays: Arrays, start: int, rows: int) -> Arrays:
    return {name: array[start : start + rows] for name, array in arrays.items()}


def _seconds_left(deadline: float) -> float | None:
    """Returns the time to a deadline; None if there is none.

    Raises:
        TimeoutError: The deadline has passed.
    """
    if math.isinf(deadline):
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the deadline has passed")
    return left
