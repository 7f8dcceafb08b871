"""The spans of a path such as `ratings/{YYYY}-{MM}-{DD}`: a folder, archive or file for each week.

The placeholders are those of TFX's ExampleGen. TFX makes a glob of such a path; here every other
character is literal.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from tfx.components.example_gen import utils
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2

from components.errors import DataError
from components.movielens_example_gen import input_files, recognition
from components.movielens_example_gen.options import AUTO, PLACEHOLDER, EditionName
from components.movielens_example_gen.readers import EDITIONS
from components.movielens_example_gen.readers.edition import InputFile

_DATE_DIGITS: Final = {"YYYY": 4, "MM": 2, "DD": 2}
_NO_VERSION: Final = -1
_SHOWN: Final = 10
_MOVIES: Final = "movies."


@dataclass(frozen=True, order=True)
class Span:
    """The ratings of one week, or of any other stretch of time.

    Attributes:
        number: Number in the path, or days from 1970 to the date; 0 for a path without either.
        version: Number of the version; -1 for a path without one.
        name: Number or date as the path has it; empty for a path without either.
        path: Folder, zip archive or file.
        place: Path below the folders without placeholders; empty for a path without any.
    """

    number: int
    version: int
    name: str
    path: str
    place: str = ""


@dataclass(frozen=True)
class Source:
    """What a run reads: spans of one edition.

    Attributes:
        edition: Name of the edition.
        spans: Spans, oldest first, at least one.
        movies: Movies beside the spans; None if there are none.
    """

    edition: EditionName
    spans: tuple[Span, ...]
    movies: InputFile | None = None

    def fingerprint(self) -> str:
        """Returns the digest of the files of these spans, and of no others.

        Raises:
            DataError: A file that the edition needs is not there.
        """
        edition = EDITIONS[self.edition]
        files = [
            file for span in self.spans for file in input_files.find(span.path, edition, span.place)
        ]
        return input_files.fingerprint([*files, *([self.movies] if self.movies else [])])


def find(path: str, edition: EditionName | Literal["auto"], window: int | None) -> Source:
    """Returns what a path holds now.

    Args:
        path: Folder, zip archive or file, or a path with placeholders for several of them.
        edition: Name of the edition, or auto to recognise it by the files.
        window: Number of newest spans to read; None for all.

    Raises:
        DataError: There is nothing, or the spans are of several editions.
    """
    found = resolve(path)
    if window is not None:
        found = found[-window:]
    named = _common_edition(found) if edition == AUTO else edition
    if not found[0].name:
        return Source(named, tuple(found))
    above = _above(path)
    movies = input_files.movies_beside(above, EDITIONS[named])
    if movies is None and edition == AUTO:
        plain = [
            input_files.plain_name(name)
            for name in input_files.entries(above)
            if name.casefold().startswith(_MOVIES) and not fileio.isdir(os.path.join(above, name))
        ]
        recognition.refuse_other_movies(above, plain, named)
    return Source(named, tuple(found), movies)


def _common_edition(found: Sequence[Span]) -> EditionName:
    """Returns the edition of the files of all spans.

    Raises:
        DataError: They are of several editions, or of none.
    """
    newest = recognition.recognise(found[-1].path)
    for span in found[:-1]:
        other = recognition.recognise(span.path)
        if other != newest:
            raise DataError(
                f"{span.path} is {other} and {found[-1].path} is {newest}: set data.dataset, or "
                "data.window to spans of one edition"
            )
    return newest


def _above(path: str) -> str:
    """Returns the folder of the first part of a path that has a placeholder."""
    return os.path.dirname(PLACEHOLDER.split(path)[0]) or "."


def resolve(path: str) -> list[Span]:
    """Returns all spans of a path, oldest first; of several versions of a span, the newest.

    A path without placeholders, or one that exists as it stands, is one span.

    Raises:
        DataError: The placeholders do not go together, nothing matches, a date is none, or two
            paths are the same version of a span.
    """
    if not PLACEHOLDER.search(path) or fileio.exists(path):
        return [Span(0, _NO_VERSION, "", path)]
    try:
        utils.verify_split_pattern_specs(example_gen_pb2.Input.Split(pattern=path))
    except ValueError as error:
        raise DataError(str(error)) from error
    newest: dict[int, Span] = {}
    for span in sorted(_matches(path)):
        earlier = newest.get(span.number)
        if earlier is not None and earlier.version == span.version:
            raise DataError(f"{earlier.path} and {span.path} are the same span: keep one")
        newest[span.number] = span
    if not newest:
        raise DataError(f"{path}: no folder or file matches{_there(path)}")
    return [newest[number] for number in sorted(newest)]


def _there(path: str) -> str:
    """Returns the names where the first placeholder of a path stands, as the end of a message."""
    above = _above(path)
    names = sorted(input_files.entries(above))[:_SHOWN] if fileio.isdir(above) else ()
    digits = "; placeholders stand for digits"
    return f" ({above} has {', '.join(names)}){digits}" if names else ""


def _matches(path: str) -> Iterator[Span]:
    """Yields a span for each place that a path can stand for, folder by folder."""
    parts = path.split("/")
    fixed = next(at for at, part in enumerate(parts) if PLACEHOLDER.search(part))
    above = "".join(f"{part}/" for part in parts[:fixed])
    waiting: list[tuple[str, list[str], dict[str, str]]] = [(above, parts[fixed:], {})]
    while waiting:
        folder, (part, *rest), values = waiting.pop()
        for name, found in _names(folder, part):
            place, known = f"{folder}{name}", {**values, **found}
            if rest:
                waiting.append((f"{place}/", rest, known))
            elif fileio.exists(place):
                yield dataclasses.replace(_span(place, known), place=place.removeprefix(above))


def _names(folder: str, part: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields the names that one part of a path can stand for, with the values in them."""
    if not PLACEHOLDER.search(part):
        yield part, {}
    elif fileio.isdir(folder or "."):
        pattern = re.compile(_regex(part))
        for name in input_files.entries(folder or "."):
            if match := pattern.fullmatch(name):
                yield name, match.groupdict()


def _regex(part: str) -> str:
    """Returns the regular expression of one part of a path; widths count digits, as in TFX."""
    regex, end = "", 0
    for placeholder in PLACEHOLDER.finditer(part):
        name = placeholder["name"]
        width = placeholder["width"] or _DATE_DIGITS.get(name)
        digits = rf"[0-9]{{{width}}}" if width else "[0-9]+"
        regex += f"{re.escape(part[end : placeholder.start()])}(?P<{name}>{digits})"
        end = placeholder.end()
    return regex + re.escape(part[end:])


def _span(path: str, values: dict[str, str]) -> Span:
    version = int(values.get("VERSION", _NO_VERSION))
    if "SPAN" in values:
        return Span(int(values["SPAN"]), version, values["SPAN"], path)
    date = [values[part] for part in _DATE_DIGITS]
    try:
        number = utils.date_to_span_number(*map(int, date))
    except ValueError as error:
        raise DataError(f"{path}: {'-'.join(date)} is no date") from error
    return Span(number, version, "-".join(date), path)
