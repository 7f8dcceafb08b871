"""Builds an index of approximate neighbours from exported vectors, and measures its recall.

The exported model ranks the whole catalogue exactly, so most need no index. This shows how to make
one for a service of your own. Not for `sigmoid_mf`, whose score with what the ranking adds is no
inner product: export it with `export.rank_by = "rating"`. usearch is in no lock of the project;
install it apart:

    python -m venv ann && ann/bin/pip install usearch pyarrow numpy
    movierec export vectors -o vectors
    ann/bin/python examples/ann_index.py vectors
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from usearch.index import Index

K = 10
USERS = 1_000


def read(folder: Path, id_name: str, last: str) -> tuple[list[str], np.ndarray]:
    """Returns the ids and their vectors, float32 `[n, d]`.

    Where the model adds an offset to the dot product, it becomes one more dimension: that of the
    movies is the `offset`, that of the users its `factor`.
    """
    table = pq.read_table(folder)
    flat = table["vector"].combine_chunks().flatten().to_numpy()
    vectors = flat.reshape(len(table), -1)
    if last in table.column_names:
        vectors = np.column_stack([vectors, table[last].to_numpy()])
    return table[id_name].to_pylist(), vectors


def main(folder: Path) -> None:
    """Prints the recall of the index, and the time of a query, beside the exact ranking."""
    _, users = read(folder / "users", "user_id", "factor")
    movie_ids, movies = read(folder / "movies", "movie_id", "offset")
    queries = users[np.linspace(0, len(users) - 1, USERS).astype(int)]

    # The inner product ranks, as in the model. Cosine would rank by direction alone.
    # With usearch's default of 16 links, a tenth of MovieLens-100K's lists would not be found, as
    # popular movies have large offsets.
    index = Index(
        ndim=movies.shape[1],
        metric="ip",
        dtype="f32",
        connectivity=32,
        expansion_add=400,
        expansion_search=256,
    )
    index.add(np.arange(len(movies)), movies)
    started = time.perf_counter()
    found = index.search(queries, K).keys
    took = time.perf_counter() - started

    started = time.perf_counter()
    scores = queries @ movies.T
    exact = np.argpartition(-scores, K, axis=1)[:, :K]
    took_exact = time.perf_counter() - started
    recall = np.mean([len(np.intersect1d(*pair)) / K for pair in zip(found, exact, strict=True)])
    print(f"{len(movie_ids):,} movies, {len(queries):,} users")
    print(f"recall@{K} of the index against the exact list: {recall:.4f}")
    print(
        f"a query: {took / len(queries):.2e} s by the index, {took_exact / len(queries):.2e} exact"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
