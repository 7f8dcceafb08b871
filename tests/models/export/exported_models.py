"""Small exported models, and a process that calls one as TensorFlow Serving does."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from models.catalogue import Catalogue
from models.contracts import RankingModel
from models.export import saved_model
from models.export.ranking_offsets import ranking_offsets
from models.export.sample_requests import inputs_for
from models.export.signatures import Recommender
from models.options import ExportOptions, ModelOptions
from models.registry import MODELS
from models.side_features import Sides, movie_side_features, side_features
from tests.models.factories import MOVIES, USERS, statistics, trained_like

SEED = 20_240
USER_IDS = [f"u{place}" for place in range(USERS)]
MOVIE_IDS = [f"m{place}" for place in range(MOVIES)]
# Ratings of each user in train, one for each edge of the activity slices.
COUNTS = [20, 21, 50, 51, 200, 201]
GENRES = [["Drama"], [], ["Comedy", "Drama"], ["Comedy"], ["Film-Noir"]]
TITLES = [f"Movie {id_}" for id_ in MOVIE_IDS]
# Of the third user nothing is known, and of the second no occupation; no title has a year.
PROFILES = [
    ["age=25", "gender=F", "occupation=writer"],
    ["age=18", "gender=M"],
    [],
    ["age=25", "gender=M", "occupation=artist"],
    ["age=56", "gender=F", "occupation=artist"],
    ["age=18", "gender=M", "occupation=artist"],
]
SIDES = Sides(side_features(PROFILES), movie_side_features(GENRES, TITLES))
CATALOGUE = Catalogue(USER_IDS, COUNTS, MOVIE_IDS, TITLES, GENRES, SIDES)

# They differ from the others in formulas that their own tests hold, and take 8 s each.
_VARIANTS = {"collaborative_filtering", "ease", "ials", "sigmoid_mf", "sparse_mf"}
EXPORTED = [
    pytest.param(name, marks=pytest.mark.slow) if name in _VARIANTS else name for name in MODELS
]
"""Every model of the registry, as the parameters of a test of its export."""

_VALUES = {
    "string": np.array(b"1", object),
    "float32": np.float32(1),
    "float64": np.float64(1),
    "int32": np.int32(1),
    "int64": np.int64(1),
    "bool": np.bool_(True),
}


BY_RATING = ExportOptions(rank_by="rating")


def recommender_of(
    name: str,
    model: RankingModel,
    catalogue: Catalogue = CATALOGUE,
    ranked: ExportOptions = BY_RATING,
) -> Recommender:
    measured, options = statistics(), ModelOptions(name=name, dimension=3)
    return Recommender(
        model=model,
        options=options,
        rating_range=(measured.rating_min, measured.rating_max),
        catalogue=catalogue,
        seen=measured.seen,
        popularity=measured.movie_rating_count,
        offsets=ranking_offsets(model, options, ranked, measured),
    )


def export(name: str, rng: np.random.Generator, folder: Path) -> list[str]:
    """Exports a model with the default ranking and returns the names of its signatures."""
    recommender = recommender_of(name, trained_like(name, rng), ranked=ExportOptions())
    saved_model.save(recommender, str(folder))
    return sorted(recommender.signatures)


def exported(root: Path, name: str) -> Path:
    """Exports a model into a folder of all tests, once; a test that changes it takes a copy.

    It is `trained_like(name, np.random.default_rng(SEED))`.
    """
    folder = root / name
    if not folder.exists():
        root.mkdir(exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=root, prefix="."))
        export(name, np.random.default_rng(SEED), aside / name)
        # Another process may have been faster; a folder that is not empty is not replaced.
        with suppress(OSError):
            (aside / name).rename(folder)
    return folder


def signature_names(folder: Path) -> list[str]:
    """The names of the signatures of an exported model."""
    model = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    (graph,) = model.meta_graphs
    return sorted(graph.signature_def.keys() - {"__saved_model_init_op"})


def arrays(signature: str) -> dict[str, np.ndarray]:
    return inputs_for(signature, [b"u1", b"nobody"], [b"m1", b"nothing"])


def requests(signature: str) -> dict[str, tf.Tensor]:
    return {name: tf.constant(array) for name, array in arrays(signature).items()}


def bytes_read() -> int:
    """Bytes that this process has read from files, pipes and sockets."""
    fields = Path("/proc/self/io").read_text(encoding="ascii").split()
    # Reading the counter itself counts from the next time on.
    return int(fields[fields.index("rchar:") + 1])


def counter_size() -> int:
    return len(Path("/proc/self/io").read_bytes())


def odd_shapes(rank: int) -> Iterator[list[int]]:
    """Shapes of a rank: one without and, if there can be one, one with nothing in it."""
    yield [2] * rank
    if rank:
        yield [0] * rank


def call_with_any_tensor(folder: str) -> None:
    """Feeds every input of every signature tensors of rank 0 to 3 and any dtype.

    It prints what came of each.

    `tf.compat.v1.Session` checks feeds against the placeholders; the C++ session below it does not,
    as TensorFlow Serving does not. What Python adds to an error would take most of the time.
    """
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        meta = tf.compat.v1.saved_model.load(session, ["serve"], folder)
        session._extend_graph()
        for name, signature in sorted(meta.signature_def.items()):
            if not signature.inputs:
                continue
            valid = arrays(name)
            for key, entry in sorted(signature.inputs.items()):
                right = tf.as_dtype(entry.dtype).name
                for dtype, value in _VALUES.items():
                    for shape in (shape for rank in range(4) for shape in odd_shapes(rank)):
                        feeds = {
                            _output(session, signature.inputs[k].name): (
                                np.full(shape, value, value.dtype) if k == key else v
                            )
                            for k, v in valid.items()
                        }
                        outcome = _outcome(session, signature, feeds)
                        print(json.dumps([name, key, dtype == right, shape, outcome]))


def _output(session: tf.compat.v1.Session, name: str) -> object:
    return session.graph.get_tensor_by_name(name)._as_tf_output()


def _outcome(session: tf.compat.v1.Session, signature: object, feeds: dict) -> str:
    fetches = [_output(session, entry.name) for entry in signature.outputs.values()]
    try:
        session._call_tf_sessionrun(None, feeds, fetches, [], None)
    except tf.errors.OpError as error:
        return type(error).__name__
    return "OK"


if __name__ == "__main__":
    call_with_any_tensor(sys.argv[1])
