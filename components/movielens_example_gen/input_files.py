"""The files of an edition: a folder, an archive or a single file, here or in the cloud."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Final

from tfx.dsl.io import fileio

from components.errors import DataError
from components.movielens_example_gen.readers import partitions
from components.movielens_example_gen.readers.edition import Edition, Files, InputFile

_BLOCK = 1 << 20
_GZIP_MAGIC: Final = b"\x1f\x8b"
_GZIP_WINDOW: Final = 31
_ENCRYPTED: Final = 1
# As Hadoop, Spark and Hive name the parts of a table.
_PART: Final = re.compile(r"part-[^.]*|[0-9]{6}_[0-9]+(_copy_[0-9]+)?")
# What stands beside data, in small letters.
_DOCUMENT: Final = re.compile(
    r"(readme|licen[cs]e|copying|notice|changelog|manifest|success|done)(\.txt)?"
)

# Formats that keep the files of earlier versions of a table beside those of the newest.
_TABLE_FORMATS: Final = {"_delta_log": "Delta", ".hoodie": "Hudi"}

MAX_UNPACKED_BYTES: Final = 1 << 36
"""Bytes that one archived file may have; the largest published one has 2^30."""

MAX_RATIO: Final = 200
"""Times that a file may be larger than its archived form; ratings reach 12."""


def fingerprint(files: Iterable[InputFile]) -> str:
    """Returns the SHA-256 over the names and the content of files, in the given order.

    Raises:
        DataError: There is no file: data that nobody has read must not pass for unchanged. Or one
            was removed.
    """
    digest = hashlib.sha256()
    count = 0
    for file in files:
        count += 1
        digest.update(file.name.encode() + b"\0")
        if not fileio.exists(file.path):
            raise DataError(f"{file.path}: the file is there no longer")
        with fileio.open(file.path, "rb") as content:
            while block := content.read(_BLOCK):
                digest.update(block)
    if not count:
        raise DataError("no file to take a fingerprint of")
    return digest.hexdigest()


def find(base: str, edition: Edition, place: str = "") -> list[InputFile]:
    """Returns the files that hold an edition, as they are.

    Args:
        base: Folder with the edition's files, each perhaps compressed by gzip, a zip archive of
            them, or a file with ratings alone. No character in it has a special meaning.
        edition: Edition to look for.
        place: Last part of the base whose folders belong to the table; empty if none does.

    Raises:
        DataError: A file that the edition needs is not there.
    """
    if _is_file(base):
        return [_input_file(base, os.path.basename(base), os.path.dirname(place))]
    return list(_in_folder(base, edition, place).values())


def movies_beside(folder: str, edition: Edition) -> InputFile | None:
    """Returns the file of the movies in a folder of spans; None if there is none.

    Args:
        folder: Folder in which spans are, as files or as folders.
        edition: Edition of the spans.

    Raises:
        DataError: It is a folder, a pipe or the like.
    """
    if edition.read_movies is None or not fileio.isdir(folder):
        return None
    names = [name for name in entries(folder) if not _is_left_behind(name)]
    (wanted,) = edition.optional_files
    found = _present([wanted], edition, {plain_name(name): name for name in names})
    if not found:
        return None
    path = os.path.join(folder, found[wanted])
    if fileio.isdir(path):
        raise DataError(f"{path} is a folder: join its files to one")
    _require_content(path)
    return InputFile(path, found[wanted])


@contextlib.contextmanager
def local_file(file: InputFile) -> Iterator[InputFile]:
    """Yields a file where it is or, if need be, an unpacked copy.

    Raises:
        DataError: It is damaged, or far larger than it seems.
    """
    with tempfile.TemporaryDirectory() as folder:
        yield _gunzipped(_here(file, folder), folder)


@contextlib.contextmanager
def local_files(base: str, edition: Edition, place: str = "") -> Iterator[Files]:
    """Yields the edition's files by name: where they are or, if need be, unpacked copies.

    Args:
        base: Place of the files, as in `find`.
        edition: Edition to look for.
        place: Last part of the base, as in `find`.

    Raises:
        DataError: A file is not there, or an archive is damaged or far larger than it seems.
    """
    with tempfile.TemporaryDirectory() as folder:
        if not _is_file(base):
            found = _in_folder(base, edition, place)
            yield {name: _gunzipped(_here(file, folder), folder) for name, file in found.items()}
            return
        (file,) = find(base, edition, place)
        file = _here(file, folder)
        if is_zip(file.path):
            yield _unzipped(file, edition, folder)
        else:
            yield {edition.files[0]: _gunzipped(file, folder)}


def names_in(base: str) -> list[str]:
    """Returns the names of the files in a folder or a zip archive; none for any other file.

    Hidden files and those that Excel and macOS leave behind are left out. Files in folders such as
    `date=2026-11-22` have the folder in their name; other folders are not searched.

    Raises:
        DataError: There is no such folder or file, the archive is damaged, or the folder is that of
            a table in a format of its own.
    """
    if not _is_file(base):
        return sorted(_listed(base))
    if not is_zip(base):
        return []
    with _opened(base) as archive:
        return sorted(_members(archive))


def entries(folder: str) -> list[str]:
    """Returns the names of the files and folders in a folder.

    Raises:
        DataError: There is no such folder, or a name in it is not UTF-8.
    """
    try:
        return [name.rstrip("/") for name in fileio.listdir(folder)]
    except (fileio.NotFoundError, FileNotFoundError) as error:
        raise DataError(f"{folder}: no such file or folder") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{folder}: has a file whose name is not UTF-8 ({error.object!r}): rename it"
        ) from error


def _listed(folder: str) -> Iterator[str]:
    names = entries(folder)
    for mark, kind in _TABLE_FORMATS.items():
        if mark in names:
            raise DataError(
                f"{folder}: a {kind} table, which has rows that were deleted or replaced: write it "
                "as plain Parquet or CSV"
            )
    for name in names:
        path = os.path.join(folder, name)
        if partitions.is_folder(name) and fileio.isdir(path):
            yield from (f"{name}/{inner}" for inner in _listed(path))
        elif not _is_left_behind(name):
            yield name


def _is_left_behind(name: str) -> bool:
    """Returns whether a name is that of a hidden file or of a lock of Excel."""
    return name.startswith((".", "~$"))


def plain_name(name: str) -> str:
    """Returns a name in small letters, without the end of a file that gzip compressed."""
    return name.casefold().removesuffix(".gz")


def start_of(path: str, size: int) -> bytes:
    """Returns the first bytes of a file, unpacked if gzip compressed it; none of a folder."""
    if fileio.isdir(path):
        return b""
    _require_content(path)
    with fileio.open(path, "rb") as file:
        return _unpacked_start(file.read(_BLOCK), size)


def read_start(base: str, name: str, size: int) -> bytes:
    """Returns the first bytes of one of `names_in`, unpacked if gzip compressed it."""
    if not _is_file(base):
        return start_of(os.path.join(base, name), size)
    with _opened(base) as archive, archive.open(_members(archive)[name]) as member:
        return _unpacked_start(member.read(_BLOCK), size)


def _unpacked_start(start: bytes, size: int) -> bytes:
    if not start.startswith(_GZIP_MAGIC):
        return start[:size]
    try:
        return zlib.decompressobj(_GZIP_WINDOW).decompress(start, size)
    except zlib.error:
        # The reader says that it is damaged.
        return b""


def is_zip(path: str) -> bool:
    """Returns whether a file is a zip archive, damaged or not."""
    with fileio.open(path, "rb") as file:
        return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")


def _is_file(base: str) -> bool:
    if not fileio.exists(base) or fileio.isdir(base):
        return False
    _require_content(base)
    return True


def _require_content(path: str) -> None:
    """Refuses what reading would wait for, or not find.

    Raises:
        DataError: The path is that of a pipe, a device or a broken link on this machine.
    """
    if "://" in path or os.path.isfile(path):
        return
    if os.path.islink(path) and not os.path.exists(path):
        raise DataError(f"{path}: a link to {os.readlink(path)}, which does not exist")
    raise DataError(f"{path}: neither a file nor a folder, but a pipe or a device")


def _input_file(path: str, name: str, place: str) -> InputFile:
    """Returns a file whose name has the folders of a place too, if they have values."""
    return InputFile(path, partitions.name_in(os.path.join(place, name)))


def pattern_of(names: Sequence[str]) -> str | None:
    """Returns the path of spans that names fit which differ in one number; None if they do not."""
    parts = [re.split(r"([0-9]+)", name) for name in names]
    differing = [at for at, texts in enumerate(zip(*parts, strict=False)) if len(set(texts)) > 1]
    is_number = len({len(one) for one in parts}) == 1 and len(differing) == 1
    if not is_number or differing[0] % 2 == 0:
        return None
    first = parts[0]
    return "".join([*first[: differing[0]], "{SPAN}", *first[differing[0] + 1 :]])


def _in_folder(folder: str, edition: Edition, place: str) -> dict[str, InputFile]:
    found = {
        name: _input_file(os.path.join(folder, actual), actual, place)
        for name, actual in _matched(names_in(folder), edition, folder).items()
    }
    for file in found.values():
        if fileio.isdir(file.path):
            raise DataError(
                f"{file.path} is a folder: give it as data.path, or join its files to one"
            )
        _require_content(file.path)
    return found


def _matched(names: Iterable[str], edition: Edition, place: str) -> dict[str, str]:
    """Returns the names of the edition's files as they are in a folder or an archive."""
    actual: dict[str, str] = {}
    for name in names:
        twin = actual.setdefault(plain_name(name), name)
        if twin != name:
            raise DataError(f"{place} has {twin} and {name}: keep one")

    optional = _present(edition.optional_files, edition, actual)
    others = [
        actual[name]
        for name in sorted(actual)
        if may_be_ratings(name, edition) and actual[name] not in optional.values()
    ]
    in_folders = [name for name in others if "/" in name]
    for wanted in (edition.files, edition.other_files):
        if wanted and len(found := _present(wanted, edition, actual)) == len(wanted):
            if in_folders:
                raise DataError(
                    f"{place} has {found[edition.files[0]]} and {in_folders[0]}: keep one"
                )
            return {**found, **optional}
    for name in in_folders:
        # Ratings and movies in one folder of each day would be one table.
        own = os.path.basename(plain_name(name))
        if own in edition.optional_files:
            raise DataError(
                f"{place} has {name}: give one {own} for all ratings, beside {name.split('/')[0]}"
            )
    first = edition.files[0]
    if others and (len(others) == 1 or _are_parts(others, edition)):
        parts = {f"{first}/{number}": name for number, name in enumerate(others[1:], start=1)}
        return {first: others[0], **parts, **optional}
    if others:
        pattern = pattern_of(others)
        all_of_them = f", or {pattern} there for all of them" if pattern else ""
        raise DataError(
            f"{first}: not found in {place}, which has {', '.join(others)}: give the one with the "
            f"ratings as data.path{all_of_them}"
        )
    missing = set(edition.files) - set(_present(edition.files, edition, actual))
    raise DataError(f"{', '.join(sorted(missing))}: not found in {place}")


def _present(wanted: Iterable[str], edition: Edition, actual: Mapping[str, str]) -> dict[str, str]:
    """Returns the actual names of files that are there, by the names that the edition gives them.

    Args:
        wanted: Names that the edition gives files.
        edition: Edition, whose suffixes stand for each other.
        actual: Names that are there by their `plain_name`.
    """
    found = {}
    for name in wanted:
        stem = os.path.splitext(name)[0]
        alike = [one for end in edition.suffixes if (one := f"{stem}{end}") in actual]
        if plain_name(name) in actual:
            found[name] = actual[plain_name(name)]
        elif len(alike) == 1:
            found[name] = actual[alike[0]]
    return found


def may_be_ratings(name: str, edition: Edition) -> bool:
    """Returns whether a `plain_name` is one of ratings without the edition's own name.

    Parts that Hadoop and Hive wrote, such as `part-00000` and `000000_0`, have no suffix, nor do
    some in folders such as `date=2026-11-22`. A README and the like is none of them.
    """
    own = os.path.basename(name)
    if _DOCUMENT.fullmatch(own):
        return False
    is_part = _PART.fullmatch(own) is not None or ("/" in name and not own.startswith("_"))
    takes_parts = bool(edition.part_prefix) and "." not in own
    return bool(edition.suffixes) and (name.endswith(edition.suffixes) or (takes_parts and is_part))


def _are_parts(names: Sequence[str], edition: Edition) -> bool:
    """Returns whether several files hold the ratings together, as all do in such folders."""
    prefix = edition.part_prefix
    return prefix is not None and all(
        "/" in name
        or os.path.basename(name).startswith(prefix)
        or _PART.fullmatch(plain_name(name)) is not None
        for name in names
    )


def _here(file: InputFile, folder: str) -> InputFile:
    """Returns a file on this machine, a copy if it is in cloud storage."""
    if "://" not in file.path:
        return file
    copy = os.path.join(folder, file.name)
    os.makedirs(os.path.dirname(copy), exist_ok=True)
    fileio.copy(file.path, copy)
    return InputFile(copy, file.name)


def _gunzipped(file: InputFile, folder: str) -> InputFile:
    with open(file.path, "rb") as start:
        if start.read(2) != _GZIP_MAGIC:
            return file
    name = file.name[:-3] if file.name.casefold().endswith(".gz") else file.name
    target = os.path.join(folder, "unpacked", name)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with gzip.open(file.path) as source:
        _unpack(source, target, os.path.getsize(file.path))
    return InputFile(target, name)


def _unzipped(file: InputFile, edition: Edition, folder: str) -> Files:
    path = file.path
    with _opened(path) as archive:
        members = _members(archive)
        files = {}
        for number, (name, actual) in enumerate(_matched(members, edition, path).items()):
            member = members[actual]
            if member.flag_bits & _ENCRYPTED:
                raise DataError(f"{path}: {actual} is encrypted: unpack it with its password")
            # Never a path of the archive: a folder for each file, and the last part of its name.
            target = os.path.join(folder, str(number), actual)
            os.makedirs(os.path.dirname(target))
            try:
                with archive.open(member) as source:
                    _unpack(source, target, member.compress_size)
            except NotImplementedError as error:
                raise DataError(f"{path}: {error}; unpack it") from error
            unpacked = _input_file(target, actual, os.path.dirname(file.name))
            files[name] = _gunzipped(unpacked, os.path.join(folder, str(number)))
        return files


@contextlib.contextmanager
def _opened(path: str) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except zipfile.BadZipFile as error:
        raise DataError(f"{path}: not a whole zip archive ({error}); fetch it again") from error


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Returns the files of an archive by the last part of their names, the outermost of each.

    Raises:
        DataError: Two files have the same name in two folders of the same depth.
    """
    members: dict[str, zipfile.ZipInfo] = {}
    for info in sorted(archive.infolist(), key=_depth):
        # Windows may write its own separators.
        path = info.filename.replace("\\", "/")
        name = partitions.name_in(path)
        # What macOS adds to archives.
        is_added = path.startswith("__MACOSX/") or _is_left_behind(os.path.basename(path))
        if path.endswith("/") or is_added:
            continue
        twin = members.setdefault(name, info)
        if twin is not info and _depth(twin) == _depth(info):
            raise DataError(
                f"{archive.filename}: has {twin.filename} and {info.filename}: unpack it, and give "
                "one of the folders as data.path"
            )
    return members


def _depth(info: zipfile.ZipInfo) -> int:
    return info.filename.count("/") + info.filename.count("\\")


def _unpack(source: IO[bytes] | gzip.GzipFile, target: str, packed_bytes: int) -> None:
    name = os.path.basename(target)
    allowed = min(MAX_UNPACKED_BYTES, max(_BLOCK, MAX_RATIO * packed_bytes))
    written = 0
    try:
        with open(target, "xb") as file:
            while block := source.read(_BLOCK):
                written += len(block)
                if written > allowed:
                    raise DataError(
                        f"{name}: unpacks to more than {MAX_RATIO} times its size or "
                        f"{MAX_UNPACKED_BYTES >> 30} GiB; unpack it yourself if you trust it"
                    )
                file.write(block)
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise DataError(f"{name}: the archive is damaged or cut ({error})") from error
