import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.errors import DataError
from components.movielens_example_gen import joining, reading, recognition
from components.movielens_example_gen.options import IngestOptions, SplitOptions
from pipeline import row_bounds
from pipeline.config.tree import DataConfig
from pipeline.datasets import locate


def test_the_installed_edition_is_the_published_one() -> None:
    """The counts are those of the edition's own README: 943 users, 1682 items, 100,000 ratings."""
    raw = reading.read_raw(str(locate(DataConfig())), "ml-100k")
    assert raw.ratings.num_rows == 100_000
    assert raw.movies.num_rows == 1682
    assert raw.users is not None
    assert raw.users.num_rows == 943
    # The first line of u.data.
    assert raw.ratings.slice(0, 1).to_pylist() == [
        {"user_id": 196, "movie_id": 242, "rating": 3, "timestamp": 881250949}
    ]
    assert raw.movies.slice(0, 1).to_pylist() == [
        {
            "movie_id": "1",
            "movie_title": "Toy Story (1995)",
            "movie_genres": ["Animation", "Children's", "Comedy"],
        }
    ]
    assert raw.users.slice(0, 1).to_pylist() == [
        {
            "user_id": "1",
            "user_age": 24,
            "user_gender": "M",
            "user_occupation": "technician",
        }
    ]


def parquet_files(folder: Path) -> None:
    installed = locate(DataConfig())
    for name in ("items", "users"):
        file = f"MovieLens100k_{name}.parquet.brotli"
        (folder / file).write_bytes((installed / file).read_bytes())


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    parquet_files(tmp_path)
    (tmp_path / "MovieLens100k_data.parquet.brotli").write_bytes(b"PAR1" + bytes(100))
    with pytest.raises(DataError, match="not a readable Parquet file"):
        reading.read_raw(str(tmp_path), "ml-100k")


def test_a_dropped_column_is_named(tmp_path: Path) -> None:
    parquet_files(tmp_path)
    table = pa.table({"user_id": [1], "movie_id": [1], "rating": [3]})
    pq.write_table(table, tmp_path / "MovieLens100k_data.parquet.brotli")
    with pytest.raises(DataError, match="no column timestamp; it has user_id, movie_id, rating"):
        reading.read_raw(str(tmp_path), "ml-100k")


def published(folder: Path) -> Path:
    """The installed edition in the files in which it is published."""
    installed = locate(DataConfig())
    forms = (("data", "u.data", "\t"), ("items", "u.item", "|"), ("users", "u.user", "|"))
    for kind, name, delimiter in forms:
        rows = pq.read_table(installed / f"MovieLens100k_{kind}.parquet.brotli").to_pylist()
        lines = [
            delimiter.join("" if value is None else str(value) for value in row.values())
            for row in rows
        ]
        (folder / name).write_text("\n".join(lines) + "\n", encoding="latin-1")
    return folder


def test_the_published_layouts_give_the_same_examples(tmp_path: Path) -> None:
    folder = tmp_path / "ml-100k"
    folder.mkdir()
    published(folder)
    with zipfile.ZipFile(tmp_path / "ml-100k.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in folder.iterdir():
            archive.write(path, f"ml-100k/{path.name}")
    options = IngestOptions(
        edition="ml-100k",
        split=SplitOptions(),
        max_rejected_fraction=0.0,
        bounds=row_bounds.read(),
    )
    tables = []
    for base in (locate(DataConfig()), folder, tmp_path / "ml-100k.zip"):
        assert recognition.recognise(str(base)) == "ml-100k"
        raw, cleaned = reading.read(str(base), options)
        tables.append(joining.to_list_columns(joining.join(cleaned.accepted, raw)))
    assert tables[0].num_rows == 100_000
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])
