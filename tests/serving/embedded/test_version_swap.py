"""New, damaged and deleted versions while clients send requests, and the end of a server."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import get_model_status_pb2

from models import features, signature_names
from models.export.warm_up import WARM_UP_FILE
from serving.server_options import ServerOptions
from tests.serving.asking import (
    SECONDS,
    Asked,
    Calls,
    asking,
    refused,
    running,
    server_process,
    wait_until,
)
from tests.serving.tiny_models import (
    MODEL,
    SLOW,
    pairs,
    predict_request,
    push,
    rating,
    write_warm_up,
)

AVAILABLE = get_model_status_pb2.ModelVersionStatus.AVAILABLE
END = get_model_status_pb2.ModelVersionStatus.END
CLIENTS = 8
# Of the models of the two fixtures.
BIAS, OTHER_BIAS = 0, 100


def answer(asked: Asked, **spec: int) -> tuple[int, float]:
    """The version that answers, and its bias."""
    found = asked.predictions.Predict(pairs([b"a"], [b"d"], **spec), timeout=SECONDS)
    (stars,) = tf.make_ndarray(found.outputs[features.RATING])
    (without_bias,) = rating([b"a"], [b"d"])
    return found.model_spec.version.value, float(stars - without_bias)


@contextmanager
def asking_all_the_while(port: int) -> Iterator[list[list[tuple[int, float]]]]:
    """From several threads; in the end, what each was answered, in its order."""
    over = threading.Event()
    answers: list[list[tuple[int, float]]] = [[] for _ in range(CLIENTS)]

    def client(found: list[tuple[int, float]]) -> None:
        with asking(port) as asked:
            while not over.is_set():
                found.append(answer(asked))

    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(client, found) for found in answers]
        try:
            wait_until(lambda: all(answers))
            yield answers
        finally:
            over.set()
        # Zero failures: the first one that any client saw is raised here.
        for done in clients:
            done.result()


def options(base_path: Path) -> ServerOptions:
    return ServerOptions(MODEL, base_path, port=0, poll_seconds=0.05)


def versions(asked: Asked) -> dict[int, get_model_status_pb2.ModelVersionStatus]:
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = MODEL
    found = asked.models.GetModelStatus(request, timeout=SECONDS).model_version_status
    return {status.version: status for status in found}


def test_a_new_version_takes_over_without_a_failure(
    tiny_model: Path, biased_model: Path, tmp_path: Path
) -> None:
    push(tiny_model, tmp_path, 1)
    write_warm_up(tmp_path / "1", pairs([b"1"], [b"2"]))
    with running(options(tmp_path)) as server, asking_all_the_while(server.port) as answers:
        pushed = tmp_path / "staged"
        shutil.copytree(biased_model, pushed)
        write_warm_up(pushed, pairs([b"1"], [b"2"]), pairs([b"1"] * 9, [b"2"] * 9))
        pushed.rename(tmp_path / "2")
        wait_until(lambda: all(found[-1][0] == 2 for found in answers))
    for found in answers:
        assert set(found) == {(1, BIAS), (2, OTHER_BIAS)}
        # Never back again.
        assert sorted(found) == found


def test_a_version_is_taken_when_it_is_complete(
    tiny_model: Path, biased_model: Path, tmp_path: Path
) -> None:
    """TFX's Pusher writes in place, saved_model.pb last."""
    push(tiny_model, tmp_path, 1)
    with running(options(tmp_path)) as server, asking_all_the_while(server.port) as answers:
        with asking(server.port) as asked:
            shutil.copytree(
                biased_model, tmp_path / "2", ignore=shutil.ignore_patterns("saved_model.pb")
            )
            asked_before = [len(found) for found in answers]
            wait_until(
                lambda: all(
                    len(found) > n + 50 for found, n in zip(answers, asked_before, strict=True)
                )
            )
            assert versions(asked).keys() == {1}
        shutil.copy(biased_model / "saved_model.pb", tmp_path / "2")
        wait_until(lambda: all(found[-1][0] == 2 for found in answers))
    assert all(set(found) == {(1, BIAS), (2, OTHER_BIAS)} for found in answers)


def _cut_off(version: Path) -> None:
    path = version / "saved_model.pb"
    path.write_bytes(path.read_bytes()[:-100])


def _emptied(version: Path) -> None:
    (version / "saved_model.pb").write_bytes(b"")


def _without_variables(version: Path) -> None:
    shutil.rmtree(version / "variables")


def _with_other_variables(version: Path) -> None:
    (shard,) = (version / "variables").glob("variables.data-*")
    shard.write_bytes(shard.read_bytes()[:4])


def _warmed_up_with_no_signature(version: Path) -> None:
    write_warm_up(version, predict_request("nothing", {features.USER_ID: [b"1"]}))


def _warmed_up_with_a_missing_input(version: Path) -> None:
    write_warm_up(
        version,
        pairs([b"1"], [b"2"]),
        predict_request(signature_names.PREDICT, {features.USER_ID: [b"1"]}),
    )


def _warmed_up_with_noise(version: Path) -> None:
    # TensorFlow itself takes less than the head of a record for the end of the file.
    write_warm_up(version).write_bytes(b"no records, but long enough for one")


def _warmed_up_with_half_a_record(version: Path) -> None:
    path = write_warm_up(version, pairs([b"1"], [b"2"]))
    path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize(
    ("damage", "named", "code"),
    [
        (_cut_off, "2", grpc.StatusCode.DATA_LOSS),
        (_emptied, "2", grpc.StatusCode.INVALID_ARGUMENT),
        (_without_variables, "variables", grpc.StatusCode.NOT_FOUND),
        (_with_other_variables, "2", grpc.StatusCode.INVALID_ARGUMENT),
        (_warmed_up_with_no_signature, "nothing", grpc.StatusCode.FAILED_PRECONDITION),
        (_warmed_up_with_a_missing_input, features.MOVIE_ID, grpc.StatusCode.INVALID_ARGUMENT),
        (_warmed_up_with_noise, Path(WARM_UP_FILE).name, grpc.StatusCode.DATA_LOSS),
        (_warmed_up_with_half_a_record, Path(WARM_UP_FILE).name, grpc.StatusCode.DATA_LOSS),
    ],
)
def test_a_damaged_version_is_refused_and_the_one_before_goes_on(
    tiny_model: Path,
    biased_model: Path,
    tmp_path: Path,
    damage: Callable[[Path], None],
    named: str,
    code: grpc.StatusCode,
) -> None:
    push(tiny_model, tmp_path, 1)
    with running(options(tmp_path)) as server, asking(server.port) as asked:
        staged = tmp_path / "staged"
        shutil.copytree(biased_model, staged)
        damage(staged)
        with asking_all_the_while(server.port) as answers:
            staged.rename(tmp_path / "2")
            wait_until(lambda: 2 in versions(asked) and versions(asked)[2].state == END)
            asked_before = [len(found) for found in answers]
            wait_until(
                lambda: all(
                    len(found) > n + 20 for found, n in zip(answers, asked_before, strict=True)
                )
            )
        assert all(set(found) == {(1, BIAS)} for found in answers)
        found = versions(asked)
        assert found[1].state == AVAILABLE
        assert found[2].status.error_code == code.value[0]
        assert named in found[2].status.error_message
        assert str(tmp_path) not in found[2].status.error_message
        answered, _ = refused(
            lambda: asked.predictions.Predict(pairs([b"1"], [b"2"], version=2), timeout=SECONDS)
        )
        assert answered == grpc.StatusCode.NOT_FOUND
        # The next sound one is taken.
        push(biased_model, tmp_path, 3)
        wait_until(lambda: answer(asked) == (3, OTHER_BIAS))


def test_a_damaged_version_that_is_mended_is_taken(
    tiny_model: Path, biased_model: Path, tmp_path: Path
) -> None:
    push(tiny_model, tmp_path, 1)
    with running(options(tmp_path)) as server, asking(server.port) as asked:
        staged = tmp_path / "staged"
        shutil.copytree(biased_model, staged)
        _cut_off(staged)
        staged.rename(tmp_path / "2")
        wait_until(lambda: 2 in versions(asked) and versions(asked)[2].state == END)
        shutil.rmtree(tmp_path / "2")
        wait_until(lambda: 2 not in versions(asked) or versions(asked)[2].state == END)
        push(biased_model, tmp_path, 2)
        wait_until(lambda: answer(asked) == (2, OTHER_BIAS))


def test_at_the_start_the_newest_version_that_loads_is_served(
    tiny_model: Path, biased_model: Path, tmp_path: Path
) -> None:
    push(tiny_model, tmp_path, 1)
    _cut_off(push(biased_model, tmp_path, 2))
    with running(options(tmp_path)) as server, asking(server.port) as asked:
        assert answer(asked) == (1, BIAS)
        assert versions(asked)[2].state == END


def test_versions_that_are_loaded_at_once_answer_each_by_itself(
    tiny_model: Path, biased_model: Path, tmp_path: Path
) -> None:
    for number in range(1, 7):
        push(biased_model if number % 2 else tiny_model, tmp_path, number)
    labels = {f"v{number}": number for number in range(1, 6)}
    labelled = replace(options(tmp_path), version_labels=labels)
    with running(labelled) as server, asking(server.port) as asked:
        assert server.versions == [1, 2, 3, 4, 5, 6]
        for number in server.versions:
            bias = OTHER_BIAS if number % 2 else BIAS
            assert answer(asked, version=number) == (number, bias)


def test_when_the_newest_version_is_deleted_the_one_before_is_back(
    tiny_model: Path, biased_model: Path, tmp_path: Path
) -> None:
    push(tiny_model, tmp_path, 1)
    push(biased_model, tmp_path, 2)
    with running(options(tmp_path)) as server, asking_all_the_while(server.port) as answers:
        assert all(set(found) == {(2, OTHER_BIAS)} for found in answers)
        (tmp_path / "2").rename(tmp_path / "gone")
        wait_until(lambda: all(found[-1] == (1, BIAS) for found in answers))


@pytest.mark.parametrize("gone", ["version", "folder"])
def test_when_there_is_no_version_any_more_the_loaded_one_goes_on(
    tiny_model: Path, biased_model: Path, tmp_path: Path, gone: str
) -> None:
    """A volume that is not there for a while is no reason to answer nobody."""
    base_path = tmp_path / "served"
    push(tiny_model, base_path, 1)
    with running(options(base_path)) as server, asking_all_the_while(server.port) as answers:
        shutil.rmtree(base_path / "1" if gone == "version" else base_path)
        asked_before = [len(found) for found in answers]
        wait_until(
            lambda: all(
                len(found) > n + 100 for found, n in zip(answers, asked_before, strict=True)
            )
        )
        assert all(set(found) == {(1, BIAS)} for found in answers)
        push(biased_model, base_path, 2)
        wait_until(lambda: all(found[-1] == (2, OTHER_BIAS) for found in answers))


def test_a_request_in_flight_is_finished_by_the_version_that_began_it(
    tiny_model: Path, biased_model: Path, tmp_path: Path, calls: Calls
) -> None:
    push(tiny_model, tmp_path, 1)
    with running(options(tmp_path)) as server, asking(server.port) as asked:
        with calls.held(SLOW):
            slow = predict_request(SLOW, {"seconds": np.float64(0)})
            in_flight = asked.predictions.Predict.future(slow, timeout=SECONDS)
            wait_until(lambda: calls.signatures == [SLOW])
            push(biased_model, tmp_path, 2)
            wait_until(lambda: answer(asked)[0] == 2)
        assert in_flight.result().model_spec.version.value == 1


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)]
)
def test_a_process_idles_for_nothing_and_told_to_stop_answers_what_is_in_flight(
    tiny_model: Path, tmp_path: Path, number: signal.Signals
) -> None:
    push(tiny_model, tmp_path, 1)
    with server_process(tmp_path) as server, asking(server.port) as asked:
        assert answer(asked) == (1, BIAS)
        before = server.processor_seconds()
        slept = 3.0
        time.sleep(slept)
        assert server.processor_seconds() - before < 0.05 * slept

        slow = predict_request(SLOW, {"seconds": np.float64(4)})
        in_flight = asked.predictions.Predict.future(slow, timeout=SECONDS)
        # Answered after the other has arrived on the same connection.
        assert answer(asked) == (1, BIAS)
        assert not in_flight.done()
        server.process.send_signal(number)
        with asking(server.port) as late:
            wait_until(lambda: _code(late) == grpc.StatusCode.UNAVAILABLE)
        assert in_flight.result().outputs
        assert server.process.wait(SECONDS) == 0


@pytest.mark.slow
def test_a_call_that_never_returns_does_not_keep_a_process_from_ending(
    tiny_model: Path, tmp_path: Path
) -> None:
    push(tiny_model, tmp_path, 1)
    with (
        server_process(tmp_path, "tests.serving.blocked_process") as server,
        asking(server.port) as asked,
    ):
        in_flight = asked.predictions.Predict.future(pairs([b"a"], [b"d"]), timeout=SECONDS)
        # Answered after the other has arrived on the same connection.
        assert versions(asked)[1].state == AVAILABLE
        server.process.send_signal(signal.SIGTERM)
        assert in_flight.code() == grpc.StatusCode.UNAVAILABLE
        assert server.process.wait(SECONDS) == 0


def _code(asked: Asked) -> grpc.StatusCode:
    return asked.predictions.Predict.future(pairs([b"1"], [b"2"]), timeout=SECONDS).code()
