"""Recognises an edition by its files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator

from tfx.dsl.io import fileio

from components.errors import DataError
from components.movielens_example_gen import input_files
from components.movielens_example_gen.options import EditionName
from components.movielens_example_gen.readers import EDITIONS, file_kinds

_MOVIES = "movies"
_README = "README.txt"
_README_BYTES = 4096
_PARQUET_MAGIC = b"PAR1"
_START_BYTES = 65_536
_LOOKED_INTO = 10
_PACKED = (
    ".zip", ".tar", ".tgz", ".7z", ".rar", ".bz2", ".xz", ".zst", ".deflate", ".lz4", ".lzo",
    ".snappy",
)  # fmt: skip


def recognise(base: str, remedy: str | None = None) -> EditionName:
    """Returns the edition that a folder, a zip archive or a file holds.

    Args:
        base: Path of the folder, the archive, or a file with ratings alone.
        remedy: What to do where it is none or more than one; None for the data, whose edition a
            key can name.

    Raises:
        DataError: There is nothing, nothing known, or more than one edition.
    """
    names = input_files.names_in(base)
    plain = {input_files.plain_name(name) for name in names}
    if not names and not fileio.isdir(base):
        return "parquet" if input_files.start_of(base, 4) == _PARQUET_MAGIC else "csv"
    found = list(_named(base, names))
    if len(found) > 1:
        raise DataError(
            f"{base}: has the files of {' and '.join(found)}: {remedy or 'set data.dataset'}"
        )
    name = found[0] if found else _unnamed(plain)
    if name is not None:
        refuse_other_movies(base, plain, name)
        return name
    packed = [name for name in sorted(plain) if name.endswith(_PACKED)]
    if packed:
        raise DataError(f"{base}: has {packed[0]}: unpack it, or give it as data.path")
    if not fileio.isdir(base) and (kind := file_kinds.of_archive(plain)):
        raise DataError(f"{base}: {kind}")
    for file in names[:_LOOKED_INTO]:
        start = input_files.read_start(base, file, _START_BYTES)
        if kind := file_kinds.other_than_text(start):
            raise DataError(f"{base}: has {file}: {kind}")
    shown = ", ".join(names[:_LOOKED_INTO]) or "no files"
    pattern = input_files.pattern_of(names)
    as_spans = f", or to {pattern} there" if pattern and len(names) > 1 else ""
    remedy = remedy or f"set data.path to the file or the folder with the ratings{as_spans}"
    raise DataError(f"{base}: has no ratings (it has {shown}); {remedy}")


def _unnamed(plain: Iterable[str]) -> EditionName | None:
    """Returns the edition of files without its own names, if one of them may be ratings."""
    candidates: tuple[EditionName, ...] = ("parquet", "csv")
    return next(
        (
            name
            for name in candidates
            if any(input_files.may_be_ratings(file, EDITIONS[name]) for file in plain)
        ),
        None,
    )


def refuse_other_movies(base: str, plain: Iterable[str], name: EditionName) -> None:
    """Refuses movies in a form that is not read beside the ratings.

    Args:
        base: Folder, archive or file.
        plain: Names in it, each as `input_files.plain_name` returns it.
        name: Edition of the ratings.

    Raises:
        DataError: There are such, and none in the right form.
    """
    edition = EDITIONS[name]
    wanted = edition.optional_files[:1]
    own = {*wanted, *(f"{_MOVIES}{suffix}" for suffix in edition.suffixes)}
    movies = {file for file in plain if os.path.splitext(file)[0] == _MOVIES}
    if wanted and movies and not movies & own:
        raise DataError(
            f"{base}: has {min(movies)}, which is not read: write {wanted[0]}, or set "
            f"data.dataset={name} to go without titles and genres"
        )


def _named(base: str, names: list[str]) -> Iterator[EditionName]:
    """Yields the editions whose files are there by their own names."""
    plain = {input_files.plain_name(name) for name in names}
    edition = EDITIONS["ml-100k"]
    wanted = [
        {input_files.plain_name(name) for name in files}
        for files in (edition.files, edition.other_files)
    ]
    if any(plain >= files for files in wanted):
        yield "ml-100k"
    if "ratings.dat" in plain:
        yield "ml-1m" if "users.dat" in plain else "ml-10m"
    if "ratings.csv" in plain:
        yield _published(base, names)
    if "ratings.parquet" in plain:
        yield "parquet"


def _published(base: str, names: list[str]) -> EditionName:
    """Returns the edition of the layout of 20M that a README or the folder's own name names."""
    stem = os.path.basename(base.rstrip("/")).removesuffix(".zip")
    named = [stem]
    if _README in names:
        text = input_files.read_start(base, _README, _README_BYTES).decode("utf-8", "replace")
        named = [*re.findall(r"\((ml-[a-z0-9-]+)\)", text), stem]
    return next((name for name in EDITIONS if name in named and name != "ml-100k"), "csv")
