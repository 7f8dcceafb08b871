"""Reads one delimited text file, whatever its dialect, as columns of text.

A row is a line. A line break inside quotes is refused, since two stray quotes look the same and
swallow all rows between them.
"""

from __future__ import annotations

import codecs
import csv
import dataclasses
import io
import itertools
import os
import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from components.errors import DataError
from components.movielens_example_gen.options import Dialect, Role
from components.movielens_example_gen.readers import file_kinds, partitions
from components.movielens_example_gen.readers.edition import InputFile

_SNIFFED_BYTES: Final = 65_536
_SNIFFED_LINES: Final = 100
_BLOCK: Final = 1 << 22
# The last one is Hive's.
_DELIMITERS: Final = (",", "\t", ";", "|", "::", "\x01")
# What divides genres divides columns only where nothing else does.
_GENRE_BAR: Final = "|"
# Only where no other delimiter fits, since titles and dates have spaces too.
_SPACE: Final = " "
# By which Excel names the delimiter above the header.
_SEPARATOR_LINE: Final = re.compile(r"\s*\"?sep=(?P<delimiter>.)\"?\s*", re.IGNORECASE)
_NAMES: Final = {
    ",": "comma",
    "\t": "tab",
    ";": "semicolon",
    "|": "bar",
    " ": "space",
    "\x01": "Ctrl-A",
}
# Stands for `::`, since pyarrow takes one character.
_UNIT_SEPARATOR: Final = "\x1f"
# A row for which to judge whether the last line is as long as the others.
_FEW_ROWS: Final = 20
_FEW_LINES: Final = 3

SPELLINGS: Final[Mapping[Role, frozenset[str]]] = {
    "user": frozenset(
        [
            "user",
            "userid",
            "uid",
            "username",
            "reviewer",
            "reviewerid",
            "customer",
            "customerid",
            "member",
            "memberid",
            "visitorid",
            "person",
            "personid",
        ]
    ),
    "movie": frozenset(
        [
            "movie",
            "movieid",
            "mid",
            "film",
            "filmid",
            "item",
            "itemid",
            "iid",
            "book",
            "bookid",
            "isbn",
            "product",
            "productid",
            "asin",
            "game",
            "gameid",
            "anime",
            "animeid",
            "song",
            "songid",
            "track",
            "trackid",
            "business",
            "businessid",
            "shop",
            "shopid",
        ]
    ),
    "rating": frozenset(
        ["rating", "ratings", "stars", "score", "vote", "bookrating", "movierating", "overall"]
    ),
    "timestamp": frozenset(
        [
            "timestamp",
            "time",
            "date",
            "datetime",
            "ts",
            "unixreviewtime",
            "ratedat",
            "createdat",
            "ratingtimestamp",
        ]
    ),
    "title": frozenset(["title", "movietitle", "booktitle", "itemname", "moviename", "name"]),
    "genres": frozenset(["genres", "genre", "category", "categories"]),
}
"""Names of columns by what they are, in small letters, without spaces, `_`, `-` and `.`."""


@dataclass(frozen=True)
class TextTable:
    """The columns of a file.

    Attributes:
        columns: Text of each column that was found, by what it is; an empty field is null.
        header: Names of these columns in the file; empty if it has no header.
        delimiter: Text between two fields.
        cut_rows: Positions of last rows without a line end whose last field is shorter than any
            other in the file.
        blank_lines: Number of lines without anything but white space, which are no rows; 0 if they
            are no more than at the end of a file.
        part_rows: Number of rows of each file, where there are several.
    """

    columns: Mapping[Role, pa.ChunkedArray]
    header: Mapping[Role, str]
    delimiter: str
    cut_rows: tuple[int, ...]
    blank_lines: int = 0
    part_rows: tuple[int, ...] = ()

    @property
    def recognised(self) -> tuple[str, ...]:
        """Phrases for people on the dialect."""
        kind = _NAMES.get(self.delimiter, self.delimiter)
        return (f"delimiter {kind}" + ("" if self.header else ", no header"),)


@dataclass(frozen=True)
class Format:
    """What a reader knows of a file.

    Attributes:
        roles: Columns that may be there; without a header, in this order.
        required: Columns that must be there.
        by_name: More columns that may be there, if a header names them.
        delimiter: Text between two fields; None if it is to be recognised.
        header: Whether there is a header; None if that is to be recognised.
        quoting: Whether fields can be in quotes.
        latin_1: Whether a file that is not UTF-8 is Latin-1.
        before: Name of a column that counts more than common names.
        after: Name of a column that counts if none has a common name.
        is_part: Whether the file may have a header only, since others have rows.
        folders: Values in the names of the folders of the file, by column.
    """

    roles: Sequence[Role]
    required: Sequence[Role]
    by_name: Sequence[Role] = ()
    delimiter: str | None = None
    header: bool | None = None
    quoting: bool = True
    latin_1: bool = False
    before: Mapping[Role, str] = field(default_factory=dict)
    after: Mapping[Role, str] = field(default_factory=dict)
    is_part: bool = False
    folders: Mapping[str, str | None] = field(default_factory=dict)


def read(path: str, form: Format, dialect: Dialect) -> TextTable:
    """Reads a file.

    Args:
        path: Path of the file.
        form: What is known of it beforehand.
        dialect: What the user says about it, which counts more.

    Raises:
        DataError: The file is missing, empty or not text, lacks a column, can be read in two ways,
            or has a line with a wrong number of fields or a quote that is not closed.
    """
    name = os.path.basename(path)
    try:
        if not os.path.getsize(path):
            raise DataError(f"{name}: the file is empty")
        encoding = _encoding(path, form.latin_1)
        lines = _first_lines(path, encoding)
        named = _SEPARATOR_LINE.fullmatch(lines[0])
        lines = lines[1:] if named and len(lines) > 1 else lines
        folders = constants((), form, dialect)
        varying = without(form, folders)
        delimiter = (
            dialect.delimiter
            or form.delimiter
            or (named and named["delimiter"])
            or _delimiter(lines, varying, dialect)
        )
        rows = [_fields(line, delimiter, form.quoting) for line in lines]
        _refuse_spaced_quotes(rows, form.quoting)
        header = _has_header(rows[0], form, dialect)
        kind = f"delimiter {_NAMES.get(delimiter, delimiter)}"
        if header:
            _refuse_lines_above(rows, lines, varying, dialect)
            rows[0] = _with_row_names(rows, form)
            folders = constants(rows[0], form, dialect)
            at = positions(rows[0], without(form, folders), dialect, kind)
        else:
            if form.header is None:
                _refuse_counters(rows, varying, dialect)
            at = _positions_by_order(len(rows[0]), varying, dialect, kind)
            if "rating" in at and not _is_number(rows[0][at["rating"]]):
                _refuse_lines_above(rows, lines, varying, dialect)
        if header and len(rows) == 1 and not form.is_part:
            raise DataError("the file has no rows")
        skipped = header + bool(named)
        columns, cut_rows, blank_lines = _Parse(
            path, encoding, delimiter, form.quoting, skipped, len(rows[0]), at
        ).table()
        columns |= repeated(folders, len(next(iter(columns.values()))))
    except FileNotFoundError as error:
        raise DataError(f"{name}: not found in {os.path.dirname(path)}") from error
    except DataError as error:
        text = str(error)
        raise DataError(text if text.startswith(f"{name}: ") else f"{name}: {text}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: {_NOT_UTF_8}") from error
    found = {role: rows[0][number].strip() for role, number in at.items()} if header else {}
    return TextTable(columns, found, delimiter, cut_rows, blank_lines)


def read_parts(files: Sequence[InputFile], form: Format, dialect: Dialect) -> TextTable:
    """Reads files that hold one table together; of several, empty ones do not count.

    Raises:
        DataError: A file cannot be read, the files are written in different ways, or all are empty.
    """
    form = dataclasses.replace(form, is_part=len(files) > 1)
    filled = [file for file in files if len(files) == 1 or os.path.getsize(file.path)]
    tables = [
        read(file.path, dataclasses.replace(form, folders=partitions.values(file.name)), dialect)
        for file in filled
    ]
    if len(files) == 1:
        return tables[0]
    rows = [len(next(iter(table.columns.values()))) for table in tables]
    if not sum(rows):
        raise DataError(f"{files[0].name} and the other parts have no rows")
    last = tables[-1]
    for file, table in zip(filled, tables, strict=True):
        if (table.header, table.delimiter) != (last.header, last.delimiter):
            raise DataError(
                f"{file.name} has another header or delimiter than {filled[-1].name}: write all "
                "parts alike"
            )
    return TextTable(
        columns={
            role: pa.chunked_array(
                [chunk for table in tables for chunk in table.columns[role].chunks], pa.string()
            )
            for role in last.columns
        },
        header=last.header,
        delimiter=last.delimiter,
        cut_rows=tuple(
            sum(rows[:number]) + row
            for number, table in enumerate(tables)
            for row in table.cut_rows
        ),
        blank_lines=sum(table.blank_lines for table in tables),
        part_rows=tuple(rows),
    )


def constants(names: Sequence[str], form: Format, dialect: Dialect) -> dict[Role, str | None]:
    """Returns the values in the names of the folders of a file, by what they are.

    Args:
        names: Names of the file's own columns, which count more.
        form: Columns that may be there, and the folders.
        dialect: What the user says of them.
    """
    if form.header is False:
        # A published file without a header has all of its columns.
        return {}
    values, own = list(form.folders.values()), _named(names, form, dialect)
    return {
        role: values[at[0]]
        for role, at in _named([*form.folders], form, dialect).items()
        if role not in own
    }


def repeated(values: Mapping[Role, str | None], rows: int) -> dict[Role, pa.ChunkedArray]:
    """Returns columns with the same value in each row."""
    return {
        role: pa.chunked_array([pa.repeat(pa.scalar(value, pa.string()), rows)])
        for role, value in values.items()
    }


def without(form: Format, roles: Container[Role]) -> Format:
    """Returns a format without some columns."""
    return dataclasses.replace(
        form,
        roles=[role for role in form.roles if role not in roles],
        required=[role for role in form.required if role not in roles],
    )


def _with_row_names(rows: Sequence[Sequence[str]], form: Format) -> list[str]:
    """Returns the header, with a name for the numbers of the rows where R leaves it out.

    Rows of any other kind have a field too many, such as a decimal comma.
    """
    header, *others = rows
    is_short = len(others) > 1 and all(len(row) == len(header) + 1 for row in others)
    if is_short and _counts(others, form) != 1:
        raise DataError(
            f"the header names {len(header)} columns and every row has {len(others[0])} fields "
            f"({', '.join(others[0])[:60]!r}): name each column, names of rows too, and put "
            "numbers with a decimal comma in quotes"
        )
    return ["", *header] if is_short else [*header]


def _counts(rows: Sequence[Sequence[str]], form: Format) -> int | None:
    """Returns the number from which the first column of ratings counts the rows, if it does."""
    counted = [row[0] for row in rows]
    if "user" not in form.roles or len(rows) < _FEW_ROWS or counted[0] not in ("0", "1"):
        return None
    start = int(counted[0])
    return start if counted == [str(start + row) for row in range(len(rows))] else None


def _refuse_lines_above(
    rows: Sequence[Sequence[str]], lines: Sequence[str], form: Format, dialect: Dialect
) -> None:
    """Refuses a table below a title, a comment or an empty row.

    Raises:
        DataError: A line below the first names the columns, and the first does not.
    """
    for row, line in zip(rows, lines, strict=True):
        if set(form.required) <= set(_named(row, form, dialect)):
            if row is not rows[0]:
                shown = repr(line[:60])
                raise DataError(f"the line {shown} names the columns: remove what is above it")
            return


def _refuse_spaced_quotes(rows: Sequence[Sequence[str]], quoting: bool) -> None:
    for row in rows if quoting else ():
        for field_ in row:
            if re.fullmatch(r'\s+".*"', field_):
                raise DataError(
                    f"{field_.strip()[:40]} has a space before its quote, which so is no quote: "
                    "remove spaces after delimiters"
                )


def _refuse_counters(rows: Sequence[Sequence[str]], form: Format, dialect: Dialect) -> None:
    """Refuses a table without a header that has numbers of rows or columns, as pandas writes them.

    Raises:
        DataError: The first row or the first column counts, or there are columns of no known use.
    """
    first = list(rows[0])
    columns = "set data.columns, such as {user = 2, movie = 3, rating = 4}"
    if len(rows) > 1 and first == [str(at) for at in range(len(first))]:
        raise DataError(
            f"the first line, {', '.join(first)}, numbers the columns: remove it, or name the "
            "columns there"
        )
    if dialect.columns:
        return
    if len(first) > len(form.roles):
        raise DataError(
            f"a line has {len(first)} fields and no header names them: {columns}, or write a header"
        )
    start = _counts(rows, form)
    if start is not None:
        raise DataError(
            f"the first column counts the rows from {start}: {columns} if it is no user, or "
            "{user = 1, movie = 2, rating = 3} if it is"
        )


_NOT_UTF_8 = (
    "not UTF-8; convert it, from Latin-1 and most files of Windows with `iconv -f cp1252 -t utf-8`"
)


def _encoding(path: str, latin_1: bool) -> str:
    with open(path, "rb") as file:
        start = file.read(_SNIFFED_BYTES)
        if kind := file_kinds.other_than_text(start):
            raise DataError(kind)
        if not start.strip():
            raise DataError("the file has only blank lines")
        if not latin_1:
            return "utf-8"
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            decoder.decode(start)
            while block := file.read(_BLOCK):
                decoder.decode(block)
        except UnicodeDecodeError:
            return "latin-1"
    return "utf-8"


def _first_lines(path: str, encoding: str) -> list[str]:
    """Returns the first lines that are not blank, without a line that the sample cuts."""
    with open(path, "rb") as file:
        start = file.read(_SNIFFED_BYTES)
        whole = not file.read(1)
    lines = re.split(rb"\r\n|\n|\r", start.removeprefix(codecs.BOM_UTF8))
    if not whole:
        lines.pop()
    decoded = [line.decode(encoding) for line in lines if line.strip()]
    if not decoded:
        raise DataError("the first line is longer than 64 KiB: not a table of ratings")
    if len(decoded) == 1 and not whole:
        raise DataError("the second line is longer than 64 KiB: not a table of ratings")
    return decoded[:_SNIFFED_LINES]


def _fields(line: str, delimiter: str, quoting: bool) -> list[str]:
    if not quoting or len(delimiter) > 1:
        return line.split(delimiter)
    return next(csv.reader([line], delimiter=delimiter, escapechar="\\" if r"\"" in line else None))


def _delimiter(lines: list[str], form: Format, dialect: Dialect) -> str:
    """Returns the delimiter that divides all lines alike."""
    fewest = max(len(form.required), 2)

    def best_of(delimiters: Sequence[str], fewest: int) -> list[str]:
        rows = {d: [_fields(line, d, form.quoting) for line in lines] for d in delimiters}
        # Lines that are broken are for the parser to name: half of them tell enough.
        fitting = [
            delimiter
            for delimiter, fields in rows.items()
            if len(fields[0]) >= fewest
            and 2 * sum(len(row) == len(fields[0]) for row in fields) >= len(fields)
        ]
        return [d for d in rows if len(_named(rows[d][0], form, dialect)) >= fewest] or fitting

    # With two columns, what is missing is a column, which the header tells.
    best = best_of(_DELIMITERS, fewest) or best_of([_SPACE], fewest) or best_of(_DELIMITERS, 2)
    if "genres" in form.roles and len(best) > 1:
        best = [one for one in best if one != _GENRE_BAR]
    if len(best) == 1:
        return best[0]
    shown = repr(lines[0][:60])
    if not best:
        raise DataError(
            f"no column {', '.join(form.required)}; the first line is {shown}: set data.delimiter, "
            "or remove what stands above the table"
        )
    kinds = " and ".join(_NAMES.get(delimiter, delimiter) for delimiter in best)
    raise DataError(f"{kinds} can both divide the first line, {shown}: set data.delimiter")


def _named(fields: Sequence[str], form: Format, dialect: Dialect) -> dict[Role, list[int]]:
    """Returns the positions of the fields that are names, by what they name."""
    found: dict[Role, list[int]] = {}
    roles = (*form.roles, *form.by_name)
    # A column that the user names is none that another column's name tells.
    named = {dialect.columns[role] for role in roles if role in dialect.columns}
    for role in roles:
        wanted = dialect.columns.get(role)
        one = [{plain_name(name.get(role, ""))} - {""} for name in (form.before, form.after)]
        for spellings in (one[0], SPELLINGS[role], one[1]):
            at = [
                at
                for at, name in enumerate(fields)
                if (
                    name.strip() not in named and _is_spelt(name, spellings)
                    if wanted is None
                    else name.strip() == wanted
                )
            ]
            if at:
                found[role] = at
                break
    return found


def _is_spelt(name: str, spellings: Container[str]) -> bool:
    """Returns whether a name is one of some, with or without its table's, as in `ratings.user_id`.

    RecBole adds a type, as in `user_id:token`.
    """
    untyped = re.sub(r":(token|float)(_seq)?$", "", name.strip())
    if plain_name(untyped) in spellings:
        return True
    table, _, own = (plain_name(part) for part in untyped.rpartition("."))
    # The name of a user is no title.
    is_of_user = table in SPELLINGS["user"] and own in SPELLINGS["title"]
    return own in spellings and not is_of_user


def plain_name(name: str) -> str:
    """Returns a column's name in small letters, without spaces, `_`, `-`, `.` and invisibles."""
    return re.sub(r"[\s_\-.\ufeff\u200b]", "", name).casefold()


def _has_header(first: Sequence[str], form: Format, dialect: Dialect) -> bool:
    if dialect.header is not None:
        return dialect.header
    if form.header is not None:
        return form.header
    # A number in `data.columns` is that of a column, whatever the first line has.
    if any(not dialect.columns.get(role, "").isdecimal() for role in _named(first, form, dialect)):
        return True
    # A header has no numbers; a first rating has one.
    return not any(map(_is_number, first))


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\s*[+-]?\d+([.,]\d+)?\s*", text) is not None


def read_columns(path: str, names: Sequence[str], delimiter: str) -> pa.Table:
    """Returns all columns of a file without header and quotes, in UTF-8 or Latin-1.

    Raises:
        DataError: The file cannot be read, or a line has another number of fields.
    """
    try:
        form = _Parse(
            path,
            _encoding(path, True),
            delimiter,
            False,
            0,
            len(names),
            {name: at for at, name in enumerate(names)},
        )
        columns, *_ = form.table()
    except DataError as error:
        raise DataError(f"{os.path.basename(path)}: {error}") from error
    return pa.table(columns)


def positions(first: Sequence[str], form: Format, dialect: Dialect, kind: str) -> dict[Role, int]:
    """Returns the positions of columns by what they are.

    Args:
        first: Names of the columns of a file.
        form: Columns that may and must be there.
        dialect: What the user says of them.
        kind: Phrase on where the names come from, for messages.

    Raises:
        DataError: A column is missing, or two can be the same.
    """
    found = _named(first, form, dialect)
    for role, numbers in found.items():
        names = [first[at].strip() for at in numbers]
        if len(names) > 1 and len(set(names)) == 1:
            raise DataError(f"the column {names[0]} is there {len(names)} times; keep one")
        if len(names) > 1:
            raise DataError(
                f"columns {' and '.join(names)} can both be the {role}: set "
                f'data.columns={{{role} = "{names[0]}"}}'
            )
    missing = [dialect.columns.get(role, role) for role in form.required if role not in found]
    missing += [
        name
        for role, name in dialect.columns.items()
        if role in form.roles and role not in found and name not in missing
    ]
    if missing:
        shown = ", ".join(name.strip()[:40] for name in first[:10])
        raise DataError(
            f"no column {', '.join(missing)}; the columns are {shown} ({kind}): set data.columns"
        )
    return {role: numbers[0] for role, numbers in found.items()}


def _positions_by_order(width: int, form: Format, dialect: Dialect, kind: str) -> dict[Role, int]:
    order = {role: at for at, role in enumerate(form.roles) if at < width}
    for role, number in dialect.columns.items():
        if role not in form.roles:
            continue
        if not number.isdecimal() or not 1 <= int(number) <= width:
            raise DataError(
                f"data.columns: {role} is {number!r}; without a header it is a number from 1 to "
                f"{width}"
            )
        order = {other: at for other, at in order.items() if at != int(number) - 1}
        order[role] = int(number) - 1
    missing = [role for role in form.required if role not in order]
    if missing:
        raise DataError(
            f"no column {', '.join(missing)}; without a header the columns are "
            f"{', '.join(form.roles)}, and a line has {width} "
            f"({kind})"
        )
    return order


@dataclass(frozen=True)
class _Counts:
    """Counts over a whole file, by which the parser is checked."""

    lines: int
    quotes: bool
    escapes: bool
    ends_with_line: bool


@dataclass(frozen=True)
class _Parse:
    """One parse of a file, by pyarrow."""

    path: str
    encoding: str
    delimiter: str
    quoting: bool
    skipped: int
    width: int
    positions: Mapping[Any, int]

    def table(self) -> tuple[dict[Any, pa.ChunkedArray], tuple[int, ...], int]:
        """Returns the columns, the positions of rows that may be cut, and blank lines if many."""
        counts = _count(self.path)
        quoting = self.quoting and counts.quotes
        escapes = (True, False) if quoting and counts.escapes else (False,)
        for number, escape in enumerate(escapes):
            try:
                table = self._rows(counts, quoting, escape)
                break
            except DataError:
                # A field may also end with a backslash.
                if number == len(escapes) - 1:
                    raise
        columns = {role: table[str(at)] for role, at in self.positions.items()}
        cut_rows = () if counts.ends_with_line else self._cut_rows(table)
        blank_lines = counts.lines - self.skipped - table.num_rows
        return columns, cut_rows, blank_lines if blank_lines > _FEW_LINES else 0

    def _rows(self, counts: _Counts, quoting: bool, escape: bool) -> pa.Table:
        broken: list[pa.csv.InvalidRow] = []
        blank = 0

        def note(row: pa.csv.InvalidRow) -> str:
            nonlocal blank
            if row.text.strip():
                broken.append(row)
            else:
                blank += 1
            return "skip"

        names = [str(number) for number in range(self.width)]
        # The last field tells whether a last line without a line end is whole.
        last = () if counts.ends_with_line else (self.width - 1,)
        wanted = sorted({*self.positions.values(), *last})
        try:
            table = pa.csv.read_csv(
                self._source(),
                # With one thread only do invalid rows carry their line number.
                read_options=pa.csv.ReadOptions(
                    use_threads=False,
                    column_names=names,
                    skip_rows=self._lines_to_skip(),
                    encoding=self.encoding.replace("utf-8", "utf8"),
                ),
                parse_options=pa.csv.ParseOptions(
                    delimiter=_UNIT_SEPARATOR if self.delimiter == "::" else self.delimiter,
                    quote_char='"' if quoting else False,
                    escape_char="\\" if escape else False,
                    invalid_row_handler=note,
                ),
                convert_options=pa.csv.ConvertOptions(
                    column_types={names[at]: pa.string() for at in wanted},
                    include_columns=[names[at] for at in wanted],
                    null_values=[""],
                    strings_can_be_null=True,
                ),
            )
        except pa.ArrowInvalid as error:
            if "UTF8" in str(error):
                raise DataError(_NOT_UTF_8) from error
            if quoting and (problem := self._open_quote(escape)):
                raise DataError(problem) from error
            raise DataError(f"cannot be read as text ({str(error)[:80]!r})") from error
        if broken:
            first = broken[0]
            if quoting and "\n" in first.text.strip() and (problem := self._open_quote(escape)):
                raise DataError(problem)
            raise DataError(
                f"line {first.number} has {first.actual_columns} fields instead of "
                f"{first.expected_columns} ({first.text[:60]!r}), {len(broken)} such lines in all: "
                f"the file was cut or damaged, or its delimiter is not "
                f"{_NAMES.get(self.delimiter, self.delimiter)}"
            )
        above = self._lines_to_skip()
        rows = table.num_rows + blank
        # Lines are counted one by one only if some are blank.
        if (
            quoting
            and rows != counts.lines - above
            and rows != _count_filled_lines(self.path, above)
        ):
            raise DataError(self._open_quote(escape) or "a value has a line break in quotes")
        return table

    def _source(self) -> Any:
        if self.delimiter != "::":
            # By a path, pyarrow would unpack what is only named like an archive.
            return pa.OSFile(self.path)
        with open(self.path, "rb") as file:
            content = file.read()
        # A title may end with a colon.
        if b":::" in content:
            return pa.BufferReader(re.sub(rb"::(?!:)", _UNIT_SEPARATOR.encode(), content))
        return pa.BufferReader(content.replace(b"::", _UNIT_SEPARATOR.encode()))

    def _lines_to_skip(self) -> int:
        """Returns the number of lines to the end of what is skipped, blank ones included."""
        if not self.skipped:
            return 0
        with open(self.path, "rb") as file:
            start = file.read(_SNIFFED_BYTES).removeprefix(codecs.BOM_UTF8)
        lines = re.split(rb"\r\n|\n|\r", start)
        filled = [number for number, line in enumerate(lines, start=1) if line.strip()]
        return filled[self.skipped - 1]

    def _open_quote(self, escape: bool) -> str | None:
        """Returns a line about the first line that ends inside quotes; None if there is none."""
        with open(self.path, encoding=self.encoding, newline=None) as file:
            for number, line in enumerate(file, start=1):
                plain = line.replace(r"\"", "") if escape else line
                if plain.count('"') % 2:
                    return (
                        f"line {number} has a quote that the line does not close "
                        f"({line.strip()[:60]!r}); a row is one line: remove the stray quote or "
                        "the line break in the value"
                    )
        return None

    def _cut_rows(self, table: pa.Table) -> tuple[int, ...]:
        lengths = pc.fill_null(pc.utf8_length(table[str(self.width - 1)]), 0)
        if len(lengths) <= _FEW_ROWS:
            return ()
        last = len(lengths) - 1
        is_cut = lengths[last].as_py() < pc.min(lengths.slice(0, last)).as_py()
        return (last,) if is_cut else ()


def _count(path: str) -> _Counts:
    newlines = returns = pairs = 0
    quotes = escapes = False
    last = b""
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            joined = last + block
            newlines += block.count(b"\n")
            returns += block.count(b"\r")
            quotes = quotes or b'"' in block
            escapes = escapes or (quotes and rb"\"" in joined)
            if returns:
                pairs += joined.count(b"\r\n")
            last = block[-1:]
    ends_with_line = last in (b"\n", b"\r")
    return _Counts(
        newlines + returns - pairs + (not ends_with_line), quotes, escapes, ends_with_line
    )


def _count_filled_lines(path: str, above: int) -> int:
    """Returns the number of lines with any character, but for those above a table."""
    with open(path, "rb") as file:
        lines = io.TextIOWrapper(file, "latin-1", newline=None)
        return sum(1 for line in itertools.islice(lines, above, None) if line != "\n")
