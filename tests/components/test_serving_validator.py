"""Models that answer rightly or wrongly, in a model server, asked over gRPC."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tfx import types
from tfx.components.pusher import executor as pusher
from tfx.types import standard_artifacts
from tfx.utils import io_utils

from components.serving_validator import answer_checks, blessing, examination, executor
from components.serving_validator.candidate import UnservableModelError, connected
from components.serving_validator.report import ServingReport
from models.export import reference_predictions
from models.export.reference_predictions import ReferencePredictions
from models.export.sample_requests import inputs_for
from serving.embedded.server import ModelServer
from serving.errors import ServerUnavailableError, ServingError
from serving.launch.candidate_server import CandidateServer
from serving.server_options import ServerOptions
from tests.components.answering_models import (
    LAST_MOVIE,
    AnsweringModel,
    Fault,
    Outputs,
    expected_rating,
    save,
)

SIGNATURES = {
    "serving_default",
    "transform_features",
    "predict",
    "predict_interval",
    "recommend",
    "recommend_excluding",
    "recommend_among",
    "recommend_for_ratings",
    "recommend_for_profile",
    "predict_new_movie",
    "similar",
    "movies",
    "explain",
    "explain_for_ratings",
}
PAIRS = [(b"u", b"m0"), (b"user", b"m4"), (b"longer", b"no movie"), (b"u", b"m1")]


@contextmanager
def in_this_process(
    saved_model: Path, model_name: str, *, startup_seconds: float, binary: Path | None = None
) -> Iterator[CandidateServer]:
    """Replaces `candidate_server`, without the seconds that a process of its own needs to start."""
    assert startup_seconds > 0
    base = saved_model.parent / "served"
    base.mkdir()
    (base / "1").symlink_to(saved_model)
    server = ModelServer(ServerOptions(model_name, base, port=0, check_ops=False))
    server.start()
    try:
        yield CandidateServer(f"127.0.0.1:{server.port}", "embedded")
    finally:
        server.stop()


def artifact(kind: type[types.Artifact], uri: str, number: int = 1) -> types.Artifact:
    made = kind()
    made.uri, made.id = uri, number
    return made


def write_ratings(folder: str, pairs: list[tuple[bytes, bytes]]) -> None:
    tf.io.gfile.makedirs(folder)
    with tf.io.TFRecordWriter(f"{folder}/data.gz", "GZIP") as writer:
        for user, movie in pairs:
            example = tf.train.Example()
            example.features.feature["user_id"].bytes_list.value.append(user)
            example.features.feature["movie_id"].bytes_list.value.append(movie)
            example.features.feature["rating"].float_list.value.append(3)
            example.features.feature["movie_title"].bytes_list.value.append(b"A title")
            writer.write(example.SerializeToString())


@dataclass
class Step:
    """The inputs of the step, in a folder or a cloud's storage, and its output."""

    root: str

    def __post_init__(self) -> None:
        self.inputs = {
            "model": [artifact(standard_artifacts.Model, f"{self.root}/model", 7)],
            "model_run": [artifact(standard_artifacts.ModelRun, f"{self.root}/run")],
            "examples": [artifact(standard_artifacts.Examples, f"{self.root}/examples")],
        }
        self.inputs["examples"][0].split_names = '["train", "eval", "holdout"]'
        self.blessing = artifact(standard_artifacts.InfraBlessing, f"{self.root}/blessing")
        self.tell(PAIRS)

    @property
    def saved_model(self) -> str:
        return f"{self.root}/model/Format-Serving"

    def tell(self, pairs: list[tuple[bytes, bytes]], output: str = "rating") -> None:
        """Makes these pairs the holdout, and what the Trainer has predicted."""
        write_ratings(f"{self.root}/examples/Split-holdout", pairs)
        tf.io.gfile.makedirs(f"{self.root}/run")
        users, movies = [user for user, _ in pairs], [movie for _, movie in pairs]
        ratings = np.array([expected_rating(*pair) for pair in pairs], np.float32)
        reference_predictions.write(
            f"{self.root}/run", ReferencePredictions(output, users, movies, ratings)
        )

    def run(self, **properties: object) -> ServingReport:
        tf.io.gfile.makedirs(self.blessing.uri)
        executor.Executor().Do(
            self.inputs,
            {"blessing": [self.blessing]},
            {
                "model_name": "m",
                "startup_seconds": 60.0,
                "max_difference": 1e-4,
                "check_ops": 1,
                **properties,
            },
        )
        return blessing.read_report(self.blessing.uri)

    def is_pushed(self) -> bool:
        """Returns whether TFX's Pusher accepts the blessing."""
        return pusher.Executor().CheckBlessing({"infra_blessing": [self.blessing]})


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model without a fault, to be copied."""
    return save(tmp_path_factory.mktemp("sound") / "model")


@pytest.fixture
def step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Step:
    monkeypatch.setattr(executor, "candidate_server", in_this_process)
    return Step(str(tmp_path))


def refused(step: Step, fault: Fault) -> str:
    """The reason for which a model with a fault is not blessed."""
    save(Path(step.saved_model), fault)
    found = step.run()
    assert not found.blessed
    assert not step.is_pushed()
    assert (Path(step.blessing.uri) / "INFRA_NOT_BLESSED").exists()
    assert "\n" not in found.reason
    return found.reason


def changed(signature: str, output: str, change: Callable[[tf.Tensor], tf.Tensor]) -> Fault:
    """A fault in one output of one signature."""

    def fault(name: str, outputs: Outputs) -> Outputs:
        return {**outputs, output: change(outputs[output])} if name == signature else outputs

    return fault


def test_a_sound_model_is_blessed_and_what_was_measured_is_told(step: Step, sound: Path) -> None:
    """Five movies are fewer than k = 10 plus exclusions: padded rows are blessed all the same."""
    shutil.copytree(sound, step.saved_model)
    found = step.run()
    assert found.blessed, found.reason
    assert step.is_pushed()
    assert found.server == "embedded"
    assert set(found.latency) == SIGNATURES
    for latency in found.latency.values():
        assert 0 < latency.median <= latency.p99
    assert 0 <= found.max_difference < 1e-6
    assert (Path(step.blessing.uri) / "INFRA_BLESSED").exists()
    assert not (Path(step.blessing.uri) / "INFRA_NOT_BLESSED").exists()
    written = json.loads((Path(step.blessing.uri) / "report.json").read_text())
    assert written == json.loads(found.model_dump_json())
    assert step.blessing.get_int_custom_property("current_model_id") == 7
    assert step.blessing.get_string_custom_property("current_model") == f"{step.root}/model"


WRONG = [
    ("predict", "rating", lambda rating: rating * np.nan, "rating: 4 of 4 numbers are not finite"),
    (
        "predict_interval",
        "standard_deviation",
        lambda deviation: 0 * deviation,
        "standard_deviation: 0 is not above 0",
    ),
    (
        "predict_interval",
        "liked_probability",
        lambda probability: probability + 1,
        r"liked_probability: 1\.0.* is no probability",
    ),
    (
        "predict_interval",
        "highest_rating",
        lambda highest: 0 * highest,
        r"rating: [0-9.]+ is not from 0 to 0",
    ),
    ("serving_default", "rating", lambda rating: rating / 0.0, ".*not finite; the first is inf"),
    ("similar", "score", lambda score: tf.where(score > 0.75, np.nan, score), ".* not finite"),
    ("similar", "score", lambda score: score * 5, "score: 4.5 is no cosine"),
    ("recommend", "score", lambda score: score[:, ::-1], "score: .*order"),
    (
        "recommend",
        "score",
        lambda score: score[:, :3],
        r"movie_id: object of shape \[4, 5\]; expected object of shape \[4, 3\]",
    ),
    (
        "recommend",
        "movie_id",
        lambda movies: tf.where(movies == "m1", "m0", movies),
        "movie_id: .*twice",
    ),
    (
        "recommend",
        "movie_id",
        lambda movies: tf.where(movies == "m4", "", movies),
        "score: .*other than -inf",
    ),
    (
        "recommend_excluding",
        "movie_id",
        lambda movies: tf.where(movies == "m1", "m0", movies),
        "movie_id: m0 .*left out",
    ),
    (
        "recommend_among",
        "movie_id",
        lambda movies: tf.where(movies == "m1", "m5", movies),
        "movie_id: m5 is not allowed",
    ),
    (
        "recommend_for_ratings",
        "movie_id",
        lambda movies: tf.where(movies == "m3", "m0", movies),
        "movie_id: m0 .*left out",
    ),
    (
        "recommend_for_profile",
        "score",
        lambda scores: scores[:, ::-1],
        "score: scores are not in descending order",
    ),
    (
        "predict_new_movie",
        "rating",
        lambda rating: rating / 0,
        "rating: 4 of 4 numbers are not finite",
    ),
    (
        "similar",
        "movie_id",
        lambda movies: tf.where(movies == "m3", "m0", movies),
        "movie_id: m0 .*left out",
    ),
    (
        "explain",
        "others",
        lambda others: others + 0.1,
        "score: the parts do not add up",
    ),
    (
        "explain",
        "contribution",
        lambda added: tf.where(added > 0, np.nan, added),
        "contribution: .*not finite",
    ),
    (
        "explain",
        "baseline",
        lambda baseline: baseline[:, tf.newaxis],
        r"baseline: float32 of shape \[4, 1\]; expected float32 of shape \[4\]",
    ),
    (
        "explain_for_ratings",
        "movie_id",
        lambda movies: tf.where(movies == "", "m0", "m9"),
        "movie_id: m. was not rated",
    ),
    (
        "explain_for_ratings",
        "contribution",
        lambda added: tf.reverse_sequence(added, [2] * len(added), seq_axis=1),
        "contribution: .*order",
    ),
    (
        "explain_for_ratings",
        "contribution",
        lambda added: added[:, ::-1],
        "contribution: a place without a movie adds something",
    ),
    (
        "movies",
        "movie_id",
        lambda movies: tf.where(movies == "m1", "m0", movies),
        "movie_id: m0 in place of m1",
    ),
    (
        "movies",
        "movie_title",
        lambda titles: titles[:1],
        r"movie_title: object of shape \[1\]; expected object of shape \[4\]",
    ),
    (
        "predict",
        "rating",
        lambda rating: tf.cast(rating, tf.float64),
        r"rating: float64 of shape \[4\]; expected float32 of shape \[4\]",
    ),
    (
        "predict",
        "rating",
        lambda rating: rating[:1],
        r"rating: float32 of shape \[1\]; expected float32 of shape \[4\]",
    ),
    (
        "transform_features",
        "rank",
        lambda _: tf.zeros(4, tf.int64),
        "the outputs are rank, user_activity; expected",
    ),
]


@pytest.mark.parametrize(("signature", "output", "change", "reason"), WRONG)
def test_wrong_answers_are_named(signature: str, output: str, change, reason: str) -> None:
    inputs, outputs = asked(signature)
    answer_checks.check(signature, inputs, outputs)
    wrong = {**outputs, output: np.array(change(tf.constant(outputs.get(output, 0))))}
    with pytest.raises(UnservableModelError, match=f"^{signature}: {reason}"):
        answer_checks.check(signature, inputs, wrong)


def test_ranks_begin_at_one() -> None:
    inputs, outputs = asked("transform_features")
    ranks = {"rank": np.array([1, 2, 3, 4]), "popularity_rank": np.array([4, 1, 1, 0])}
    with pytest.raises(UnservableModelError, match="popularity_rank: 0; "):
        answer_checks.check("transform_features", inputs, {**outputs, **ranks})


def test_listed_movies_may_have_ratings_and_similar_ones_none() -> None:
    inputs, outputs = asked("recommend_for_ratings")
    # Rated movies are left out, so the last places are empty.
    places = outputs["movie_id"] != b""
    assert not places.all()
    sound = np.where(places, 3, -np.inf).astype(np.float32)
    answer_checks.check("recommend_for_ratings", inputs, {**outputs, "rating": sound})
    for wrong, reason in (
        (np.where(places, np.nan, sound), "not finite"),
        (np.maximum(sound, 1), "rating: a place without a movie has a number other than -inf"),
        (sound[:, :2], "rating: float32 of shape"),
    ):
        with pytest.raises(UnservableModelError, match=reason):
            answer_checks.check(
                "recommend_for_ratings", inputs, {**outputs, "rating": wrong.astype(np.float32)}
            )
    inputs, outputs = asked("similar")
    with pytest.raises(UnservableModelError, match="the outputs are movie_id, movie_title, rating"):
        answer_checks.check("similar", inputs, {**outputs, "rating": outputs["score"]})


@pytest.mark.parametrize(("stars", "blessed"), [(3.0, True), (3.01, False)])
def test_ratings_in_lists_are_those_of_predict(step: Step, stars: float, blessed: bool) -> None:
    """The model predicts three stars for all pairs."""

    def three(name: str, outputs: Outputs) -> Outputs:
        if name in ("predict", "serving_default"):
            return {"rating": 0 * outputs["rating"] + 3}
        if name == "recommend":
            listed = tf.math.is_finite(outputs["score"])
            return {**outputs, "rating": tf.where(listed, stars, -np.inf)}
        return outputs

    save(Path(step.saved_model), three)
    found = step.run(max_difference=9.0)
    assert found.blessed is blessed, found.reason
    if not blessed:
        assert_matches(
            "recommend: the rating of user u and movie m0 is 0.01 from that of predict",
            found.reason,
        )


def test_a_movie_that_cannot_be_retrieved_has_a_score_all_the_same() -> None:
    inputs, _ = asked("serving_default")
    scores = np.array([-np.inf, 0.5, -3, 0], np.float32)
    answer_checks.check("serving_default", inputs, {"score": scores})
    with pytest.raises(UnservableModelError, match="not finite"):
        answer_checks.check("serving_default", inputs, {"score": -scores})


def asked(signature: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns the inputs for the pairs, and the sound answer."""
    inputs = inputs_for(signature, *([pair[side] for pair in PAIRS] for side in (0, 1)))
    function = AnsweringModel(lambda name, outputs: outputs).signatures(signature)[signature]
    outputs = function(**{name: tf.constant(values) for name, values in inputs.items()})
    return inputs, {name: values.numpy() for name, values in outputs.items()}


def test_a_model_that_answers_nan_is_not_pushed(step: Step) -> None:
    fault = changed("predict", "rating", lambda rating: rating * np.nan)
    assert_matches(
        "predict: rating: 4 of 4 numbers are not finite; the first is nan", refused(step, fault)
    )


def assert_matches(pattern: str, text: str) -> None:
    with pytest.raises(ServingError, match=f"^{pattern}"):
        raise ServingError(text)


def test_a_movie_whose_score_is_nan_is_missed_where_nothing_is_left_out(step: Step) -> None:
    """The signatures that rank show it as an empty place, which others may have."""

    def fault(name: str, outputs: Outputs) -> Outputs:
        if name != "recommend":
            return outputs
        fourth = outputs["score"] == 3.0
        empty = {key: tf.where(fourth, "", outputs[key]) for key in ("movie_id", "movie_title")}
        places = tf.argsort(tf.cast(fourth, tf.int32), stable=True)
        score = tf.where(fourth, -np.inf, outputs["score"])
        columns = {**empty, "score": score}
        return {key: tf.gather(value, places, batch_dims=1) for key, value in columns.items()}

    assert_matches("recommend: .* 4 of 5 movies", refused(step, fault))


@pytest.mark.parametrize(
    ("at_once", "rest"),
    [
        (4, 2),
        pytest.param(1, 1, marks=pytest.mark.slow),
        pytest.param(10_000, 6, marks=pytest.mark.slow),
    ],
)
def test_the_last_movie_of_a_catalogue_is_rated_too(
    step: Step, monkeypatch: pytest.MonkeyPatch, at_once: int, rest: int
) -> None:
    """Its id is so long that nobody's rating of another is as high."""
    monkeypatch.setattr(examination, "MOVIES_AT_ONCE", at_once)
    its_least = expected_rating(b"", LAST_MOVIE)

    def fault(name: str, outputs: Outputs) -> Outputs:
        if name != "predict":
            return outputs
        rating = outputs["rating"]
        return {"rating": tf.where(rating > its_least, np.nan, rating)}

    assert_matches(
        f"predict: rating: 1 of {rest} numbers are not finite; the first is nan",
        refused(step, fault),
    )


@pytest.mark.parametrize("at_once", [5, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_movie_of_the_catalogue_has_a_score(
    step: Step, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """−inf is the score of a movie that is not known."""
    monkeypatch.setattr(examination, "MOVIES_AT_ONCE", at_once)
    its_least = expected_rating(b"", LAST_MOVIE)

    def scores(name: str, outputs: Outputs) -> Outputs:
        if name != "serving_default":
            return outputs
        score = outputs["rating"]
        return {"score": tf.where(score > its_least, -np.inf, score)}

    save(Path(step.saved_model), scores, without="predict")
    step.tell(PAIRS, output="score")
    assert_matches(
        f"serving_default: movie {LAST_MOVIE.decode()} of the catalogue has no score",
        step.run().reason,
    )


@pytest.mark.parametrize(
    ("movie_ids", "reason"),
    [(None, "the model has no table movie_ids"), ((), "movie_ids: the table lists no movie")],
)
def test_a_model_without_a_catalogue_is_not_blessed(
    step: Step, movie_ids: tuple[()] | None, reason: str
) -> None:
    save(Path(step.saved_model), movie_ids=movie_ids)
    found = step.run()
    assert not found.blessed
    assert_matches(reason, found.reason)


def test_an_assertion_in_the_graph_is_the_reason(step: Step) -> None:
    def divides(rating: tf.Tensor) -> tf.Tensor:
        none = tf.size(rating) - tf.size(rating)
        check = tf.debugging.assert_none_equal(none, 0, message="no rating to divide by")
        with tf.control_dependencies([check]):
            return rating / tf.cast(none, tf.float32)

    reason = refused(step, changed("predict", "rating", divides))
    assert reason.startswith("predict: INVALID_ARGUMENT: ")
    assert "no rating to divide by" in reason


@pytest.mark.parametrize(("difference", "blessed"), [(-1e-3, False), (5e-5, True)])
def test_predictions_must_be_the_trainers(step: Step, difference: float, blessed: bool) -> None:
    save(Path(step.saved_model), lambda name, outputs: off(name, outputs, difference))
    found = step.run()
    assert found.blessed is blessed
    assert found.max_difference == pytest.approx(abs(difference), rel=1e-2)
    if not blessed:
        assert_matches(
            "serving_default: the rating of user user and movie m4 is 0.001 from the Trainer's "
            f"prediction {expected_rating(b'user', b'm4'):.6g}; at most 0.0001 is allowed",
            found.reason,
        )


def test_how_far_they_may_be_apart_is_an_option(step: Step) -> None:
    save(Path(step.saved_model), lambda name, outputs: off(name, outputs, 1e-3))
    assert step.run(max_difference=2e-3).blessed


def off(name: str, outputs: Outputs, difference: float) -> Outputs:
    """One rating of four is off; a request with one row is as it should be."""
    if name != "serving_default":
        return outputs
    rating = outputs["rating"]
    return {"rating": rating + difference * tf.one_hot(1, tf.size(rating))}


def test_a_signature_of_which_nothing_is_known_is_not_passed_over(step: Step, sound: Path) -> None:
    module = tf.Module()
    module.add = tf.function(lambda x: {"y": x + 1}).get_concrete_function(
        tf.TensorSpec([None], tf.float32, name="x")
    )
    shutil.copytree(sound, step.saved_model)
    loaded = tf.saved_model.load(step.saved_model)
    folder = f"{step.root}/more"
    tf.saved_model.save(loaded, folder, signatures={**loaded.signatures, "surprise": module.add})
    tf.io.gfile.rmtree(step.saved_model)
    tf.io.gfile.rename(folder, step.saved_model)
    assert_matches("surprise: .*no request for this signature", step.run().reason)


@pytest.mark.parametrize("missing", ["predict", "similar"])
def test_a_signature_that_clients_call_must_be_there(step: Step, missing: str) -> None:
    save(Path(step.saved_model), without=missing)
    assert_matches(f"{missing}: the model has no such signature", step.run().reason)


def test_what_only_retrieves_has_no_ratings(step: Step) -> None:
    def scores(name: str, outputs: Outputs) -> Outputs:
        return {"score": outputs["rating"]} if name == "serving_default" else outputs

    save(Path(step.saved_model), scores, without="predict")
    step.tell(PAIRS, output="score")
    found = step.run()
    assert found.blessed, found.reason
    assert set(found.latency) == SIGNATURES - {"predict"}


def test_without_a_holdout_nothing_is_known_and_nothing_blessed(step: Step, sound: Path) -> None:
    shutil.copytree(sound, step.saved_model)
    step.tell([])
    assert_matches("the holdout has no rating", step.run().reason)


def spoil_graph(folder: Path) -> None:
    (folder / "saved_model.pb").write_bytes(b"no graph")


def lose_variables(folder: Path) -> None:
    for file in (folder / "variables").iterdir():
        file.unlink()


@pytest.mark.parametrize("spoil", [spoil_graph, lose_variables])
def test_a_model_that_does_not_load_is_not_blessed(
    step: Step, sound: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(Path(shutil.copytree(sound, step.saved_model)))
    found = step.run()
    assert not found.blessed
    assert not step.is_pushed()
    assert found.server is None
    assert found.latency == {}
    assert "\n" not in found.reason


def calls_python(name: str, outputs: Outputs) -> Outputs:
    """Sound answers, some of them by way of Python."""
    if name != "predict":
        return outputs
    rating = tf.numpy_function(lambda values: values, [outputs["rating"]], tf.float32)
    return {"rating": tf.ensure_shape(rating, outputs["rating"].shape)}


def test_a_model_that_calls_python_is_not_blessed_and_not_loaded(
    step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loaded(*arguments: object, **options: object) -> None:
        raise AssertionError("a server was started")

    monkeypatch.setattr(executor, "candidate_server", loaded)
    reason = refused(step, calls_python)
    assert_matches(rf"{step.saved_model}: the model holds PyFunc; expected", reason)


def test_whether_ops_are_checked_is_an_option(step: Step) -> None:
    save(Path(step.saved_model), calls_python)
    found = step.run(check_ops=0)
    assert found.blessed, found.reason


def test_a_binary_that_is_not_there_is_no_fault_of_the_model(step: Step, sound: Path) -> None:
    shutil.copytree(sound, step.saved_model)
    with pytest.raises(ServingError, match=r"^serving\.binary /no/such: "):
        step.run(binary="/no/such")
    assert not Path(step.blessing.uri, "report.json").exists()


def test_artifacts_may_be_in_a_clouds_storage(
    tmp_path: Path, sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pushes to TensorFlow's file system in memory, which stands for the others."""
    monkeypatch.setattr(executor, "candidate_server", in_this_process)
    step = Step(f"ram://{tmp_path}")
    io_utils.copy_dir(str(sound), step.saved_model)
    found = step.run()
    assert found.blessed, found.reason
    assert tf.io.gfile.exists(f"{step.blessing.uri}/INFRA_BLESSED")


def test_a_server_that_is_gone_is_a_reason(tmp_path: Path, sound: Path) -> None:
    saved = Path(shutil.copytree(sound, tmp_path / "model"))
    with (
        in_this_process(saved, "m", startup_seconds=1) as server,
        connected(server.address, "other") as stranger,
        pytest.raises(UnservableModelError, match=r"^GetModelMetadata: NOT_FOUND: .*other"),
    ):
        stranger.signatures()
    with (
        connected(server.address, "m") as candidate,
        pytest.raises(ServerUnavailableError, match=r"^GetModelMetadata: UNAVAILABLE: "),
    ):
        candidate.signatures()


def test_the_server_is_a_process_of_its_own(tmp_path: Path, sound: Path) -> None:
    step = Step(str(tmp_path))
    shutil.copytree(sound, step.saved_model)
    found = step.run()
    assert found.blessed, found.reason
    assert found.server == "embedded"


def test_a_server_that_cannot_be_asked_is_an_error_and_no_verdict(
    step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def overloaded(*_: object, **__: object) -> Iterator[CandidateServer]:
        raise ServerUnavailableError("not up after 120 s")
        yield

    monkeypatch.setattr(executor, "candidate_server", overloaded)
    with pytest.raises(ServerUnavailableError, match="not up after 120 s"):
        step.run(check_ops=0)
    assert list(Path(step.blessing.uri).iterdir()) == []


def test_intervals_of_an_earlier_release_say_no_range() -> None:
    """A version of one may be rolled back to."""
    pair = {"user_id": np.array([b"u"], object), "movie_id": np.array([b"m"], object)}
    told = {
        name: np.array([value], np.float32)
        for name, value in (
            ("rating", 4.0),
            ("standard_deviation", 1.0),
            ("liked_probability", 0.5),
        )
    }
    answer_checks.check("predict_interval", pair, told)
    with pytest.raises(UnservableModelError, match="highest_rating"):
        answer_checks.check("predict_interval", pair, told | {"lowest_rating": told["rating"]})
