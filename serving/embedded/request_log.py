"""A log of some of the requests that were answered, for comparison with the training data.

A request is never slowed or failed by it: what cannot be written at once is left out and counted.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import random
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import predict_pb2

from models import features
from models.export.training_population import UNKNOWN, TrainingPopulation
from models.signature_names import EXAMPLES, SERVING_DEFAULT, TARGET, K
from serving.embedded import tensor_codec
from serving.errors import ServingError
from serving.server_options import RequestLogOptions

FILE_NAME: Final = re.compile(r"requests-(\d{8})\.jsonl")
FILES: Final = 10
"""Files of a log; a new one takes the place of the oldest."""
MAX_IDS: Final = 100
"""Users and movies of a request that are logged; of more, those at equal distances."""

# Largest request whose users and movies are logged; reading more would hold others up.
_MAX_READ_BYTES: Final = 256 << 10
# Size of the requests that wait to be written.
_MAX_WAITING_BYTES: Final = 16 << 20
_HASH_BYTES: Final = 8
# Seconds that the end of the server waits for the last lines.
_CLOSE_SECONDS: Final = 1.0

_LOGGER: Final = logging.getLogger(__name__)

WRITTEN: Final = "written"
DROPPED: Final = "dropped"
FAILED: Final = "failed"


@dataclass(frozen=True)
class _Entry:
    """An answered request that waits to be written."""

    request: predict_pb2.PredictRequest
    size: int
    version: int
    population: TrainingPopulation | None
    seconds: float
    at: float


class RequestLog:
    """Writes sampled requests as lines of JSON, in a thread of its own.

    Each line has the time, version, signature, rows, `k` and seconds of a request; for its users a
    hash and their activity; for its movies a hash, their popularity decile and their genres. The
    key of the hashes is made anew by each server and is written nowhere.
    """

    def __init__(self, options: RequestLogOptions, count: Callable[[str], None]) -> None:
        """Opens the log and starts the thread.

        Args:
            options: Folder, share and size.
            count: Function called with `WRITTEN`, `DROPPED` or `FAILED` for each sampled request.

        Raises:
            ServingError: The folder cannot be written, or another server writes in it.
        """
        self._share = options.share
        self._count = count
        self._named = _raw_name if options.raw_ids else _Hash(secrets.token_bytes(32))
        self._files = _Files(options.folder, options.max_bytes // FILES)
        self._random = random.Random()
        self._failing = False
        self._waiting: deque[_Entry] = deque()
        self._waiting_bytes = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="request-log", daemon=True)
        self._thread.start()

    def offer(
        self,
        request: predict_pb2.PredictRequest,
        version: int,
        population: TrainingPopulation | None,
        seconds: float,
    ) -> None:
        """Takes an answered request, or leaves it out; returns at once.

        Args:
            request: Request, which nobody changes any more.
            version: Number of the version that answered.
            population: Training data of the version; None if it is not known.
            seconds: Seconds that the model took.
        """
        if self._random.random() >= self._share:
            return
        entry = _Entry(request, request.ByteSize(), version, population, seconds, time.time())
        with self._changed:
            fits = self._waiting_bytes + entry.size <= _MAX_WAITING_BYTES and not self._closed
            if fits:
                self._waiting.append(entry)
                self._waiting_bytes += entry.size
                self._changed.notify()
        if not fits:
            self._count(DROPPED)

    def close(self) -> None:
        """Writes what waits, if that takes no more than a second, and ends the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(_CLOSE_SECONDS)
        if not self._thread.is_alive():
            self._files.close()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                entry = self._waiting.popleft()
                self._waiting_bytes -= entry.size
            self._write(entry)

    def _write(self, entry: _Entry) -> None:
        line = json.dumps(_record(entry, self._named), separators=(",", ":")) + "\n"
        try:
            self._files.write(line.encode())
        except OSError as error:
            self._count(FAILED)
            if not self._failing:
                _LOGGER.warning(
                    "request log: %s: %s; requests are answered and not logged until it can be "
                    "written again",
                    self._files.folder,
                    error.strerror,
                )
            self._failing = True
            return
        self._count(WRITTEN)
        if self._failing:
            _LOGGER.info("request log: %s is written again", self._files.folder)
        self._failing = False


class _Hash:
    """Hashes of ids by a secret key: equal ids have equal hashes, and no hash tells its id."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __call__(self, id_: bytes) -> str:
        return hashlib.blake2b(id_, digest_size=_HASH_BYTES, key=self._key).hexdigest()


def _raw_name(id_: bytes) -> str:
    return id_.decode(errors="replace")


class _Files:
    """The files of a log, the newest of which is written; the oldest make room for new ones."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Takes the folder for this server, and opens the newest file.

        Args:
            folder: Folder of the files.
            max_bytes: Size of each file.

        Raises:
            ServingError: The folder cannot be written, or another server writes in it.
        """
        self.folder = folder
        self._max_bytes = max_bytes
        self._file: int | None = None
        self._size = 0
        self._lock: int | None = None
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(folder, os.O_RDONLY)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._open(max(numbered(folder), default=1))
        except BlockingIOError as error:
            self.close()
            raise ServingError(
                f"{folder}: another server writes its request log there; choose another folder"
            ) from error
        except OSError as error:
            self.close()
            raise ServingError(
                f"{folder}: the request log cannot be written there ({error.strerror}); choose "
                "another folder"
            ) from error

    def write(self, line: bytes) -> None:
        """Adds a line, whole or not at all.

        Raises:
            OSError: It cannot be written.
        """
        assert self._file is not None
        is_full = self._size and self._size + len(line) > self._max_bytes
        # A file without a name has been removed, and nobody would read the line.
        if is_full or os.fstat(self._file).st_nlink == 0:
            self._next()
        try:
            written = os.write(self._file, line)
            if written < len(line):
                # The rest fails, and the reason is known.
                written += os.write(self._file, line[written:])
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise
        self._size += written

    def close(self) -> None:
        """Closes the file, and leaves the folder to others."""
        for descriptor in (self._file, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._file = self._lock = None

    def _next(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        files = numbered(self.folder)
        for number in sorted(files)[: max(0, len(files) - FILES + 1)]:
            files[number].unlink(missing_ok=True)
        self._open(max(files, default=0) + 1)

    def _open(self, number: int) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder / f"requests-{number:08}.jsonl"
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        if self._file is not None:
            os.close(self._file)
        self._file, self._size = opened, os.fstat(opened).st_size


def numbered(folder: Path) -> dict[int, Path]:
    """Returns the files of a log by number; the newest has the highest.

    Raises:
        OSError: The folder cannot be read.
    """
    matches = ((FILE_NAME.fullmatch(path.name), path) for path in folder.iterdir())
    return {int(match[1]): path for match, path in matches if match}


def _record(entry: _Entry, named: Callable[[bytes], str]) -> dict[str, Any]:
    """Returns the fields of a line."""
    inputs = entry.request.inputs
    users, movies = _ids(entry.request) if entry.size <= _MAX_READ_BYTES else ([], [])
    record: dict[str, Any] = {
        "time": datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="seconds"),
        "version": entry.version,
        "signature": entry.request.model_spec.signature_name or SERVING_DEFAULT,
        "rows": max((shape[0] for shape in map(_shape, inputs.values()) if shape), default=1),
        "seconds": round(entry.seconds, 6),
    }
    # Another SavedModel may have inputs of these names and other types.
    if K in inputs and inputs[K].dtype == types_pb2.DT_INT32 and not _shape(inputs[K]):
        record["k"] = int(_decoded(inputs[K])[0])
    known = entry.population
    record["users"] = [
        {"id": named(user)}
        | ({} if known is None else {"activity": known.user_activity.get(user, UNKNOWN)})
        for user in _some(users)
    ]
    record["movies"] = [
        {"id": named(movie)}
        | (
            {}
            if known is None
            else {
                "decile": known.movie_decile.get(movie, UNKNOWN),
                "genres": known.movie_genres.get(movie, ()),
            }
        )
        for movie in _some(movies)
    ]
    return record


def _ids(request: predict_pb2.PredictRequest) -> tuple[list[bytes], list[bytes]]:
    """Returns the users and the movies that a request is about, without padding."""
    users, movies = [], []
    for name, tensor in request.inputs.items():
        if tensor.dtype != types_pb2.DT_STRING:
            continue
        if name == features.USER_ID:
            users += _decoded(tensor)
        elif name in (features.MOVIE_ID, TARGET):
            movies += _decoded(tensor)
        elif name == EXAMPLES:
            for serialized in _decoded(tensor):
                # TensorFlow is less strict: it takes names of features that are not UTF-8.
                with suppress(DecodeError):
                    given = tf.train.Example.FromString(serialized).features.feature
                    users += given[features.USER_ID].bytes_list.value
                    movies += given[features.MOVIE_ID].bytes_list.value
    return users, [movie for movie in movies if movie]


def _decoded(tensor: Any) -> list[Any]:
    return list(tensor_codec.decode(tensor, _MAX_WAITING_BYTES).reshape(-1))


def _shape(tensor: Any) -> list[int]:
    return [dimension.size for dimension in tensor.tensor_shape.dim]


def _some(ids: Sequence[bytes]) -> Sequence[bytes]:
    """Returns at most `MAX_IDS` ids, at equal distances."""
    return ids[:: -(-len(ids) // MAX_IDS)] if ids else ids
