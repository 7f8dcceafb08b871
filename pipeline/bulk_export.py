"""The answers of a pushed model in bulk: Parquet files, a block of rows each."""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from models import features
from models.export.request_limits import MAX_ANSWERS, MAX_SCORES
from models.export.saved_model import read_table
from models.export.top_k import QUERIES_AT_ONCE
from models.signature_names import SCORE
from pipeline import atomic_file
from pipeline.config.errors import UserError
from serving.pushed_model import PushedModel

DESCRIPTION_FILE: Final = "_export.json"
BLOCK_ROWS: Final = 10_000
"""Users, pairs or vectors in a file."""

_COMPRESSION: Final = "zstd"
_LOGGER: Final = logging.getLogger(__name__)

Vector = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Export:
    """What is exported, block by block.

    Attributes:
        description: What it is made from. Another export has another one.
        blocks: Number of the blocks.
        tables: Path of each block below the folder, and the function that computes its rows.
    """

    description: dict[str, Any]
    blocks: int
    tables: Iterator[tuple[str, Callable[[], pa.Table]]]


@dataclass(frozen=True)
class Written:
    """The rows of a complete export.

    Attributes:
        rows: Number of all rows in the folder.
        kept: Number of those that an interrupted export had left.
    """

    rows: int
    kept: int


def write(export: Export, folder: Path, on_block: Callable[[], None]) -> Written:
    """Writes an export into a new folder, which appears when it is complete.

    The blocks are written into a folder beside it, `FOLDER.incomplete`. After an interruption, the
    same export continues there.

    Args:
        export: What to write.
        folder: Folder to make.
        on_block: Function to call after each block.

    Raises:
        UserError: The folder is there, or another export is being written or was interrupted in it.
    """
    if folder.exists():
        raise UserError(f"{folder} exists; give a folder that does not")
    aside = folder.with_name(f"{folder.name}.incomplete")
    aside.mkdir(parents=True, exist_ok=True)
    with _locked(aside):
        # Another export may have ended between the two looks.
        if folder.exists():
            with suppress(OSError):
                aside.rmdir()
            raise UserError(f"{folder} exists; give a folder that does not")
        return _write(export, aside, folder, on_block)


@contextmanager
def _locked(aside: Path) -> Iterator[None]:
    """Keeps another export out of a folder; the lock ends with the process that holds it.

    Where a file system has no locks, nothing is kept out.

    Raises:
        UserError: Another export is being written there.
    """
    try:
        descriptor = os.open(aside, os.O_RDONLY)
    except FileNotFoundError as error:
        raise UserError(
            f"{aside}: another export has just ended there; look for its folder"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"{aside}: another export is being written there; wait for its end, or give "
                "another folder"
            ) from error
        except OSError:
            _LOGGER.info("%s: no locks there", aside)
        yield
    finally:
        os.close(descriptor)


def _write(export: Export, aside: Path, folder: Path, on_block: Callable[[], None]) -> Written:
    description = aside / DESCRIPTION_FILE
    if not description.exists():
        atomic_file.write_text(description, json.dumps(export.description, indent=2) + "\n")
    elif json.loads(description.read_text(encoding="utf-8")) != export.description:
        raise UserError(
            f"{aside} has a part of another export; finish that one, or remove the folder"
        )
    rows = kept = 0
    for name, table in export.tables:
        path = aside / name
        was_there = path.exists()
        if not was_there:
            path.parent.mkdir(exist_ok=True)
            # Parquet has its footer last: a file without its name is one that may be cut.
            incoming = path.with_name(f".{path.name}")
            pq.write_table(table(), incoming, compression=_COMPRESSION)
            incoming.replace(path)
        found = pq.read_metadata(path).num_rows
        rows += found
        kept += found if was_there else 0
        on_block()
    aside.rename(folder)
    return Written(rows, kept)


def recommendations(version: Path, k: int, block_rows: int = BLOCK_ROWS) -> Export:
    """Returns the k best movies of every known user, as `recommend` gives them.

    Each row has `user_id`, `rank` from 1, `movie_id`, `movie_title` and `score`, and `rating` from
    a model that returns it. A user with fewer movies left has fewer rows.

    Args:
        version: Folder of the exported model.
        k: Number of movies for each user.
        block_rows: Number of users in a file.
    """
    model = PushedModel(version)
    users = read_table(str(version), "user_ids")
    movies = len(read_table(str(version), "movie_ids"))
    within_scores = max(QUERIES_AT_ONCE, MAX_SCORES // max(1, movies))
    at_once = max(1, min(within_scores, MAX_ANSWERS // min(k, movies), block_rows))

    def table(block: Vector) -> pa.Table:
        parts = [
            _ranked(model, block[start : start + at_once], k)
            for start in range(0, len(block), at_once)
        ]
        return pa.concat_tables(parts)

    return Export(
        _description("recommendations", version, block_rows, k=k, users=len(users)),
        *_in_blocks(users, block_rows, "part", table),
    )


def predictions(
    version: Path, user_ids: Vector, movie_ids: Vector, block_rows: int = BLOCK_ROWS
) -> Export:
    """Returns the predicted ratings of pairs, as `predict` gives them.

    Each row has `user_id`, `movie_id` and `rating`, in the order of the pairs.

    Args:
        version: Folder of the exported model.
        user_ids: Raw ids, bytes `[n]`.
        movie_ids: Raw ids, bytes `[n]`.
        block_rows: Number of pairs in a file.

    Raises:
        UserError: The model predicts no ratings.
    """
    model = PushedModel(version)
    if not model.predicts_ratings:
        raise UserError(f"{version}: the model predicts no ratings; export recommendations of it")

    def table(rows: Vector) -> pa.Table:
        users, movies = user_ids[rows], movie_ids[rows]
        return pa.table(
            {
                features.USER_ID: _strings(users),
                features.MOVIE_ID: _strings(movies),
                features.RATING: model.predict(users, movies),
            }
        )

    digest = hashlib.sha256(b"\n".join(itertools.chain(user_ids, movie_ids))).hexdigest()
    return Export(
        _description("predictions", version, block_rows, pairs=len(user_ids), digest=digest),
        *_in_blocks(np.arange(len(user_ids)), block_rows, "part", table),
    )


def vectors(version: Path, block_rows: int = BLOCK_ROWS) -> Export:
    """Returns the vectors of the known users and of the catalogue, whose dots rank the movies.

    `users/` has `user_id` and `vector`; `movies/` has `movie_id`, `movie_title` and `vector`. Where
    the ranking adds offsets to ratings, `movies/` also has `offset`, and `users/` the `factor` by
    which it counts.

    Args:
        version: Folder of the exported model.
        block_rows: Number of vectors in a file.
    """
    tables = {
        name: read_table(str(version), name)
        for name in ("user_ids", "user_vectors", "movie_ids", "movie_titles", "movie_vectors")
    }
    try:
        factors, offsets = (
            {column: read_table(str(version), name)}
            for column, name in (("factor", "user_factors"), ("offset", "movie_offsets"))
        )
    except KeyError:
        # The dots alone rank, or an earlier release exported the model.
        factors, offsets = {}, {}

    def users(rows: Vector) -> pa.Table:
        return pa.table(
            {
                features.USER_ID: _strings(tables["user_ids"][rows]),
                "vector": _lists(tables["user_vectors"][rows]),
                **{column: values[rows] for column, values in factors.items()},
            }
        )

    def movies(rows: Vector) -> pa.Table:
        return pa.table(
            {
                features.MOVIE_ID: _strings(tables["movie_ids"][rows]),
                features.MOVIE_TITLE: _strings(tables["movie_titles"][rows]),
                "vector": _lists(tables["movie_vectors"][rows]),
                **{column: values[rows] for column, values in offsets.items()},
            }
        )

    parts = [
        _in_blocks(np.arange(len(tables[ids])), block_rows, f"{folder}/part", table)
        for ids, folder, table in (("user_ids", "users", users), ("movie_ids", "movies", movies))
    ]
    dimension = int(tables["user_vectors"].shape[1])
    return Export(
        _description("vectors", version, block_rows, dimension=dimension),
        sum(count for count, _ in parts),
        itertools.chain.from_iterable(blocks for _, blocks in parts),
    )


def _ranked(model: PushedModel, users: Vector, k: int) -> pa.Table:
    ranked = model.recommendations([user.decode() for user in users], k)
    shown = ranked.movie_ids != b""
    row, place = np.nonzero(shown)
    columns = {
        features.USER_ID: _strings(users[row]),
        "rank": (place + 1).astype(np.int32),
        features.MOVIE_ID: _strings(ranked.movie_ids[shown]),
        features.MOVIE_TITLE: _strings(ranked.titles[shown]),
        SCORE: ranked.scores[shown],
    }
    if ranked.ratings is not None:
        columns[features.RATING] = ranked.ratings[shown]
    return pa.table(columns)


def _in_blocks(
    rows: Vector, block_rows: int, prefix: str, table: Callable[[Vector], pa.Table]
) -> tuple[int, Iterator[tuple[str, Callable[[], pa.Table]]]]:
    """Returns the number of blocks, and the path and the function of each."""
    count = -(-len(rows) // block_rows)

    def block(number: int) -> tuple[str, Callable[[], pa.Table]]:
        own = rows[number * block_rows : (number + 1) * block_rows]
        return f"{prefix}-{number:05}.parquet", lambda: table(own)

    return count, map(block, range(count))


def _description(kind: str, version: Path, block_rows: int, **more: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "version": version.name,
        "model": hashlib.sha256((version / "fingerprint.pb").read_bytes()).hexdigest(),
        "block_rows": block_rows,
        **more,
    }


def _strings(values: Vector) -> pa.Array:
    return pa.array(values, pa.binary()).cast(pa.string())


def _lists(values: Vector) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(values, np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
