"""Linear systems of the rows of a factorisation, one a user or one a movie, solved in blocks."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import tensorflow as tf

Index = np.ndarray[Any, np.dtype[np.integer[Any]]]

# Vectors that are gathered, and rows of matrices that are factorised, at a time.
_VECTORS_AT_ONCE: Final = 1 << 17


class RowSystems:
    """The systems (A + Σ w z zᵀ + diag(ρ)) θ = b + Σ w t z; the sums are over a row's ratings.

    z are vectors of the other side. Rows with about as many ratings as each other are solved
    together, by batched Cholesky decompositions. Beside the solutions, memory holds 16 bytes a
    rating and one block.

    Attributes:
        order: Ratings by row, those of a row together, int64 `[n]`. Values for `solve` must be in
            this order.
        row: Row of each rating in this order, int32 `[n]`.
        other: Row of the other side for each rating in this order, int32 `[n]`.
    """

    def __init__(self, row: Index, other: Index, rows: int, dimension: int) -> None:
        """Sorts the ratings.

        Args:
            row: Row of each rating, `[n]`.
            other: Row of the other side for each rating, `[n]`.
            rows: Number of rows.
            dimension: Length of a vector.
        """
        counts = np.bincount(row, minlength=rows)
        by_count = np.argsort(-counts, kind="stable")
        place = np.empty(rows, np.int64)
        place[by_count] = np.arange(rows)
        self.order = np.argsort(place[row], kind="stable")
        self.row = tf.constant(row[self.order], tf.int32)
        self.other = tf.constant(other[self.order], tf.int32)
        self._rows = tf.constant(by_count, tf.int32)
        self._place = tf.constant(place, tf.int32)
        self._splits = tf.constant(np.concatenate([[0], np.cumsum(counts[by_count])]), tf.int64)
        starts = [0]
        while starts[-1] < rows:
            width = max(int(counts[by_count[starts[-1]]]), dimension)
            starts.append(min(starts[-1] + max(1, _VECTORS_AT_ONCE // width), rows))
        self._starts = tf.constant(starts, tf.int32)
        self._dimension = dimension

    def solve(
        self,
        vectors: tf.Tensor,
        weight: tf.Tensor,
        target: tf.Tensor,
        matrix: tf.Tensor,
        right: tf.Tensor,
        ridge: tf.Tensor,
        noise: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Returns θ of each row, float32 `[rows, d]`. Call it inside a `tf.function`.

        With standard normal noise η they are draws from N(θ, M⁻¹), M the matrix of the row's
        system.

        Args:
            vectors: Vectors z of the other side, float32 `[others, d]`.
            weight: Weight w of each rating, float32 `[n]`.
            target: Target t of each rating, float32 `[n]`.
            matrix: Matrix A that all rows share, float32 `[d, d]`.
            right: Vector b of each row, float32 `[rows, d]`.
            ridge: Diagonal entry ρ of each row, float32 `[rows]`.
            noise: η, float32 `[rows, d]`; None gives the solutions.
        """

        def with_block(block: tf.Tensor, solved: tf.TensorArray) -> tuple[tf.Tensor, Any]:
            first, last = self._starts[block], self._starts[block + 1]
            splits = self._splits[first : last + 1]
            rows = self._rows[first:last]

            def padded(values: tf.Tensor) -> tf.Tensor:
                part = values[splits[0] : splits[-1]]
                return tf.RaggedTensor.from_row_splits(
                    part, splits - splits[0], validate=False
                ).to_tensor()

            # Padding has weight 0.
            z = tf.gather(vectors, padded(self.other))
            weighted = padded(weight)[:, :, tf.newaxis] * z
            systems = tf.matmul(weighted, z, transpose_a=True) + matrix
            systems = tf.linalg.set_diag(
                systems, tf.linalg.diag_part(systems) + tf.gather(ridge, rows)[:, tf.newaxis]
            )
            sums = tf.linalg.matvec(weighted, padded(target), transpose_a=True)
            lower = tf.linalg.cholesky(systems)
            half = tf.linalg.triangular_solve(
                lower, (tf.gather(right, rows) + sums)[:, :, tf.newaxis]
            )
            if noise is not None:
                half += tf.gather(noise, rows)[:, :, tf.newaxis]
            theta = tf.linalg.triangular_solve(lower, half, adjoint=True)
            return block + 1, solved.write(block, tf.squeeze(theta, axis=2))

        blocks = tf.size(self._starts) - 1
        solved = tf.TensorArray(
            tf.float32, blocks, infer_shape=False, element_shape=[None, self._dimension]
        )
        _, solved = tf.while_loop(
            lambda block, _: block < blocks,
            with_block,
            [tf.constant(0), solved],
            parallel_iterations=1,
        )
        return tf.gather(solved.concat(), self._place)

    def dots(self, vectors: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
        """Returns the dot product of both vectors of each rating, float32 `[n]`.

        A column is gathered at a time: all vectors of all ratings might not fit in memory.

        Args:
            vectors: Vectors of the rows, float32 `[rows, d]`.
            others: Vectors of the other side, float32 `[others, d]`.
        """
        columns = tf.transpose(vectors), tf.transpose(others)

        def with_column(place: tf.Tensor, dots: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            row, other = (column[place] for column in columns)
            return place + 1, dots + tf.gather(row, self.row) * tf.gather(other, self.other)

        _, dots = tf.while_loop(
            lambda place, _: place < self._dimension,
            with_column,
            [tf.constant(0), tf.zeros(tf.shape(self.row))],
            parallel_iterations=1,
        )
        return dots
