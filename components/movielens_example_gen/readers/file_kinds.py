"""Names what a file is that is no table of text, by its first bytes."""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection
from typing import Final

_AS_CSV = "write it as CSV or Parquet"
# UTF-32 begins like UTF-16.
_KINDS: Final = (
    (codecs.BOM_UTF32_LE, "UTF-32; convert it with `iconv -f utf-32 -t utf-8`"),
    (codecs.BOM_UTF32_BE, "UTF-32; convert it with `iconv -f utf-32 -t utf-8`"),
    (codecs.BOM_UTF16_LE, "UTF-16; convert it with `iconv -f utf-16 -t utf-8`"),
    (codecs.BOM_UTF16_BE, "UTF-16; convert it with `iconv -f utf-16 -t utf-8`"),
    (b"\x1f\x8b", "compressed by gzip twice, or another archive inside gzip; unpack it"),
    (b"BZh", "compressed by bzip2; unpack it with `bunzip2`"),
    (b"\xfd7zXZ", "compressed by xz; unpack it with `unxz`"),
    (b"\x28\xb5\x2f\xfd", "compressed by Zstandard; unpack it with `unzstd`"),
    (b"\x04\x22\x4d\x18", "compressed by LZ4; unpack it with `unlz4`"),
    (b"\xff\x06\0\0sNaPpY", "compressed by Snappy; unpack it"),
    (b"7z\xbc\xaf", "a 7-Zip archive; unpack it"),
    (b"Rar!", "a RAR archive; unpack it"),
    (b"SQLite format 3", "an SQLite database; export the table as CSV"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook; save its sheet as CSV in UTF-8"),
    (b"PAR1", "a Parquet file; its name has to end with .parquet"),
    (b"ARROW1", f"an Arrow file; {_AS_CSV}"),
    (b"FEA1", f"a Feather file; {_AS_CSV}"),
    (b"ORC", f"an ORC file; {_AS_CSV}"),
    (b"Obj\x01", f"an Avro file; {_AS_CSV}"),
    (b"\x93NUMPY", f"a NumPy file; {_AS_CSV}"),
    (b"\x89HDF", f"an HDF5 file; {_AS_CSV}"),
    *((bytes([0x80, number]), f"a pickle of Python; {_AS_CSV}") for number in range(2, 6)),
    (b"RDX", "an R data file; write the table with `write.csv`"),
    (b"X\n\0\0", "an R data file; write the table with `write.csv`"),
    (b"<stata_dta>", "a Stata file; export the table as CSV"),
    (b"$FL2", "an SPSS file; export the table as CSV"),
    (b"\x89PNG", "an image; give the ratings as CSV or Parquet"),
    (b"\xff\xd8\xff", "an image; give the ratings as CSV or Parquet"),
    (b"GIF8", "an image; give the ratings as CSV or Parquet"),
    (b"\x7fELF", "a program; give the ratings as CSV or Parquet"),
    (b"%PDF", "a PDF file; export the table as CSV"),
    (b"version https://git-lfs", "a pointer of Git LFS; fetch the file with `git lfs pull`"),
)
# Files of one program that are zip archives, by the end of a name in them.
_ARCHIVE_KINDS: Final = (
    ("workbook.xml", "an Excel workbook; save its sheet as CSV in UTF-8"),
    ("workbook.bin", "an Excel workbook; save its sheet as CSV in UTF-8"),
    ("[content_types].xml", "an Office document; save its table as CSV in UTF-8"),
    ("content.xml", "an OpenDocument file; save its sheet as CSV in UTF-8"),
    (".iwa", "a Numbers document; export its table as CSV"),
    (".npy", f"a NumPy file; {_AS_CSV}"),
    ("data.pkl", f"a PyTorch file; {_AS_CSV}"),
)
# Where formats say what they are, if not at the start.
_TAR_MAGIC: Final = slice(257, 262)
_DUCKDB_MAGIC: Final = slice(8, 12)
_ZIP_MAGIC: Final = b"PK\x03\x04"
# What the first member or the list of members has.
_ZIP_KINDS: Final = (
    (b"[Content_Types].xml", "an Excel workbook; save its sheet as CSV in UTF-8"),
    (b"opendocument", "an OpenDocument file; save its sheet as CSV in UTF-8"),
    (b"", "a zip archive; unpack it, or give it as data.path"),
)
_MARKUP: Final = (
    (rb"<(!doctype|html|head|body)\b", "a web page; the download may have failed"),
    (rb"<table\b", "a table of HTML; save it as CSV"),
    (rb"<(\?xml|error)\b", "an XML file; export the table as CSV"),
)
_JSON: Final = re.compile(rb"(\[\s*)?\{\s*\"|\[\s*\[")
# What no text has; Hive and others delimit by further control characters.
_CONTROLS: Final = re.compile(rb"[\0\x04-\x08\x0e-\x19\x7f]")
_MOST_CONTROLS: Final = 0.02


def other_than_text(start: bytes) -> str | None:
    """Returns what a file is and what to do; None for text.

    Args:
        start: First bytes of the file.
    """
    is_binary = b"\0" in start or len(_CONTROLS.findall(start)) > _MOST_CONTROLS * len(start)
    for magic, kind in _KINDS:
        # A header may begin with letters such as ORC.
        if start.startswith(magic) and (is_binary or not magic.isalnum()):
            return kind
    if start[_TAR_MAGIC] == b"ustar":
        return "a tar archive; unpack it"
    text = start.removeprefix(codecs.BOM_UTF8).lstrip()
    if _JSON.match(text):
        return f"JSON; {_AS_CSV}"
    for pattern, kind in _MARKUP:
        if re.match(pattern, text, re.IGNORECASE):
            return kind
    return _binary_kind(start) if is_binary else None


def of_archive(names: Collection[str]) -> str | None:
    """Returns what a zip archive is and what to do; None if it is no more than an archive.

    Args:
        names: Names of the files in it, in small letters, without folders.
    """
    return next(
        (kind for end, kind in _ARCHIVE_KINDS if any(name.endswith(end) for name in names)), None
    )


def _binary_kind(start: bytes) -> str:
    if start.startswith(_ZIP_MAGIC):
        for member, kind in _ZIP_KINDS:
            if member in start:
                return kind
    if start[_DUCKDB_MAGIC] == b"DUCK":
        return "a DuckDB database; export the table as CSV"
    for encoding in ("utf-16le", "utf-16be"):
        if _is_table(start, encoding):
            return f"UTF-16; convert it with `iconv -f {encoding} -t utf-8`"
    return "not a text file; write the ratings as CSV or Parquet"


def _is_table(start: bytes, encoding: str) -> bool:
    """Returns whether bytes are a table in UTF-16, of which nearly any two bytes are a letter."""
    text = start[: len(start) // 2 * 2].decode(encoding, "replace")
    is_shown = all(letter.isprintable() or letter.isspace() for letter in text)
    return is_shown and 2 * sum(map(str.isascii, text)) > len(text)
