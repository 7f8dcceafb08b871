"""Requests that come at once, answered in one call of the model."""

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

_CLOSED: Final = "this version of the model is no longer served: ask again"

Arrays = Mapping[str, np.ndarray[Any, np.dtype[Any]]]


class QueueFullError(ServingError):
    """As many batches wait as may."""


class BatcherClosedError(ServingError):
    """What waited when its batcher was closed, or came later."""


class Batcher:
    """Joins the rows of concurrent requests, and gives each its own rows of the answer.

    One call runs at a time: what comes meanwhile makes the next batches. A batch that fails is
    taken apart, and each of its requests is called alone: it has its answer, or its own error.
    """

    def __init__(self, call: Callable[[Arrays], Arrays], options: BatchingOptions) -> None:
        """Starts with nothing waiting.

        Args:
            call: of the model; row i of its outputs depends on row i of its inputs alone. It must
                bear to be called from several threads.
            options: sizes and times.
        """
        self._call = call
        self._options = options
        self._lock = threading.Lock()
        self._open: _Batch | None = None
        self._enqueued = 0
        self._closed = False
        self._caller = ThreadPoolExecutor(1, thread_name_prefix="batcher")

    def submit(self, inputs: Arrays, timeout_seconds: float | None) -> Arrays:
        """The outputs for these inputs; blocks until they are there.

        What has more rows than a batch is called in parts, and what is not in rows at all is called
        as it is (the model says what is wrong with it); both in this thread, apart from the rest.

        Args:
            inputs: arrays with equal first axes.
            timeout_seconds: from now; None waits as long as it takes.

        Raises:
            QueueFullError: too many batches wait.
            TimeoutError: the time has passed. A call that runs is not broken off.
            BatcherClosedError: the batcher was closed before the call.
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
        """Waits for the call that runs, fails the requests of later batches, ends the thread."""
        with self._lock:
            self._closed = True
            if self._open is not None:
                self._open.full.set()
        self._caller.shutdown(wait=True, cancel_futures=True)

    def _check_open(self) -> None:
        if self._closed:
            raise BatcherClosedError(_CLOSED)

    def _join(self, request: _Request) -> _Batch:
        """The batch that the request is now in: the open one if it fits, else a new one."""
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
                f"{self._enqueued} batches wait, as many as may: ask again later, or more seldom"
            )
        if self._open is not None:
            self._open.full.set()
        batch = _Batch([request], self._options.max_batch_size)
        batch.answer = self._caller.submit(self._run, batch)
        self._enqueued += 1
        self._open = batch
        return batch

    def _run(self, batch: _Batch) -> Arrays:
        """In the thread of calls: waits for the rest of the batch, then calls."""
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
    """What one caller waits for; its rows start at `start` of its batch."""

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
        """Whether the request's rows can stand below the others'."""
        fits = self.rows + request.rows <= self.max_rows
        return fits and _form(request.inputs) == _form(self.requests[0].inputs)

    def call(self, call: Callable[[Arrays], Arrays]) -> Arrays:
        """The outputs for those who still wait, from the top in their order."""
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
            raise ServingError(f"an output of the model has not {rows} rows, as its inputs have")
        return outputs


def _rows(arrays: Arrays) -> int | None:
    """The length of the first axes; None where they differ or there is none."""
    lengths = {array.shape[0] if array.ndim else None for array in arrays.values()}
    return lengths.pop() if len(lengths) == 1 else None


def _form(arrays: Arrays) -> dict[str, tuple[np.dtype[Any], tuple[int, ...]]]:
    """What arrays that are to be joined must have in common."""
    return {name: (array.dtype, array.shape[1:]) for name, array in arrays.items()}


def _joined(parts: list[Arrays]) -> Arrays:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _part(arrays: Arrays, start: int, rows: int) -> Arrays:
    return {name: array[start : start + rows] for name, array in arrays.items()}


def _seconds_left(deadline: float) -> float | None:
    """None if there is no deadline.

    Raises:
        TimeoutError: it has passed.
    """
    if math.isinf(deadline):
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the deadline has passed")
    return left
