"""`movierec query` in processes of its own, against a server of the official stubs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme

from serving.tls import ServerTls
from tests.movierec.cli.command import (
    assert_refused,
    imported_by,
    movierec,
    movierec_with_imports,
)
from tests.serving.fake_server import MOVIES, SCORES, FakeModel, State, served

TITLES = dict(MOVIES)


@pytest.fixture
def model() -> FakeModel:
    return FakeModel(
        seen={"1": {"50"}}, states=[{2: (State.END, "no variables"), 3: (State.AVAILABLE, "")}]
    )


@pytest.fixture
def port(model: FakeModel) -> Iterator[int]:
    with served(model) as bound:
        yield bound


def query(port: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    return movierec("query", *arguments, "--target", f"127.0.0.1:{port}", "--timeout", "30")


def answer(port: int, *arguments: str) -> Any:
    result = query(port, *arguments, "--json")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return json.loads(result.stdout)


def movies(*movie_ids: str) -> list[dict[str, Any]]:
    return [
        {
            "movie_id": movie_id,
            "title": TITLES[movie_id],
            "score": SCORES[movie_id],
            "rating": None,
        }
        for movie_id in movie_ids
    ]


def test_recommend(port: int, model: FakeModel) -> None:
    assert answer(port, "recommend", "--user", "1", "-k", "2") == movies("29", "181")
    excluding = ["--exclude", "29", "--exclude", "181"]
    assert answer(port, "recommend", "--user", "1", "-k", "1", *excluding) == movies("231")
    among = ["--among", "50", "--among", "268", "--genre", "Action"]
    assert answer(port, "recommend", "--user", "1", *among) == movies("181", "231", "268")
    result = query(port, "recommend", "--user", "1", "-k", "2")
    rows = [line.split() for line in result.stdout.splitlines() if line.split()]
    assert rows[0] == ["movie", "id", "score"]
    assert rows[2:] == [
        ["1", "Batman", "Forever", "(1995)", "29", "4.50"],
        ["2", "Return", "of", "the", "Jedi", "(1983)", "181", "4.00"],
    ]


def test_rating(port: int) -> None:
    found = answer(port, "rating", "--user", "1", "--movie", "batman forever (1995)")
    assert found == {
        "user_id": "1",
        "movie_id": "29",
        "title": "Batman Forever (1995)",
        "rating": pytest.approx(1.029),
    }
    result = query(port, "rating", "--user", "1", "--movie", "50")
    assert result.stdout == "1.05 stars: user 1, Star Wars (1977)\n"


def test_a_rating_with_its_interval(port: int, model: FakeModel) -> None:
    asked = ["rating", "--user", "1", "--movie", "50", "--interval"]
    # 80 % of a normal distribution lie within 1.2816 standard deviations.
    expected = "1.05 stars, 1.00 to 1.69 with 80%, liked with 25%: user 1, Star Wars (1977)\n"
    assert query(port, *asked).stdout == expected
    found = answer(port, *asked)
    # Nobody gives less than one star.
    assert found["low"] == 1
    assert found["high"] == pytest.approx(1.05 + 0.6408, abs=1e-4)
    assert (found["standard_deviation"], found["liked_probability"]) == (0.5, 0.25)
    model.lacking = {"predict_interval"}
    assert_refused(query(port, *asked), "predict_interval not found")


def test_similar(port: int) -> None:
    for movie in ("29", "Batman Forever (1995)"):
        found = answer(port, "similar", "--movie", movie, "-k", "2")
        assert found == movies("50", "181")


def test_new_user(port: int, model: FakeModel) -> None:
    rates = ["--rate", "50=5", "--rate", "Batman Returns (1992)=3.5", "--rate", " 181 =4"]
    assert answer(port, "new-user", *rates, "-k", "1") == movies("29")
    inputs = model.requests[-1].inputs
    assert list(inputs["movie_id"].string_val) == [b"50", b"231", b"181"]


def test_a_new_user_is_known_by_a_profile(port: int, model: FakeModel) -> None:
    profile = ["--age", "12", "--gender", "F", "--occupation", "student"]
    assert answer(port, "new-user", *profile, "-k", "1") == movies("29")
    inputs = model.requests[-1].inputs
    assert list(inputs["user_age"].int_val) == [12]
    assert list(inputs["user_gender"].string_val) == [b"F"]
    assert list(inputs["user_occupation"].string_val) == [b"student"]
    for wrong in ([], ["--rate", "50=5", "--age", "30"]):
        assert_refused(query(port, "new-user", *wrong), "expected either --rate, or some of --age")


def test_new_movie(port: int, model: FakeModel) -> None:
    asked = ["new-movie", "--user", "1", "--user", "2", "--genre", "Drama", "--year", "1998"]
    assert answer(port, *asked) == [
        {"user_id": "1", "rating": 1.25},
        {"user_id": "2", "rating": 2.25},
    ]
    assert query(port, *asked).stdout == "1.25 stars: user 1\n2.25 stars: user 2\n"
    assert list(model.requests[-1].inputs["movie_year"].int_val) == [1998, 1998]
    model.lacking = {"predict_new_movie"}
    assert_refused(query(port, *asked), "predict_new_movie not found")


def test_explain(port: int, model: FakeModel) -> None:
    reason = {"movie_id": "50", "title": "Star Wars (1977)", "rating": 5.0, "contribution": 0.25}
    movie = {"movie_id": "29", "title": "Batman Forever (1995)"}
    expected = {**movie, "score": 3.75, "baseline": 3.0, "reasons": [reason], "others": 0.5}
    assert answer(port, "explain", "--user", "1", "--movie", "29") == expected
    assert answer(port, "explain", "--rate", "50=5", "--movie", "Batman Forever (1995)") == expected
    asked = model.requests[-1].inputs
    assert asked["target_movie_id"].string_val == [b"29"]
    shown = query(port, "explain", "--user", "1", "--movie", "29").stdout
    rows = [line.split() for line in shown.splitlines() if line.split()]
    assert rows[0] == ["id", "rated", "adds"]
    assert (rows[2:4]) == [
        ["the", "movie,", "without", "ratings", "3.000"],
        ["Star", "Wars", "(1977)", "50", "5", "+0.250"],
    ]
    assert rows[4] == ["everything", "else", "+0.500"]
    assert rows[-1] == ["score", "of", "Batman", "Forever", "(1995)", "3.750"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["rating", "--user", "1", "--movie", "50"],
        ["similar", "--movie", "29"],
        ["new-user", "--rate", "50=5", "--rate", "181=4"],
    ],
)
def test_ids_are_found_without_the_catalogue(
    port: int, model: FakeModel, arguments: list[str]
) -> None:
    answer(port, *arguments)
    looked_up, asked = model.requests
    assert looked_up.model_spec.signature_name == "movies"
    # No request asks for more movies than the default number.
    assert not looked_up.output_filter
    assert list(asked.inputs["k"].int_val) in ([], [10])


def test_a_model_of_an_earlier_release_is_asked_for_its_catalogue(
    port: int, model: FakeModel
) -> None:
    model.lacking = {"movies"}
    result = query(port, "rating", "--user", "1", "--movie", "50")
    assert result.stdout == "1.05 stars: user 1, Star Wars (1977)\n"


def test_a_server_that_is_busy_is_not_asked_for_its_catalogue(port: int, model: FakeModel) -> None:
    model.failures = [(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy")]
    assert_refused(query(port, "rating", "--user", "1", "--movie", "50"), "busy")
    assert len(model.requests) == 1


def test_status(port: int) -> None:
    assert answer(port, "status") == [
        {"version": 2, "state": "END", "error": "no variables"},
        {"version": 3, "state": "AVAILABLE", "error": ""},
    ]
    lines = [line.split() for line in query(port, "status").stdout.splitlines()]
    assert ["2", "END", "no", "variables"] in lines
    assert ["3", "AVAILABLE"] in lines


def test_which_model_is_asked(port: int, model: FakeModel) -> None:
    common = ["recommend", "--user", "1", "--model-name", "films"]
    answer(port, *common, "--model-version", "7")
    assert model.requests[-1].model_spec.name == "films"
    assert model.requests[-1].model_spec.version.value == 7
    answer(port, *common, "--label", "canary")
    assert model.requests[-1].model_spec.version_label == "canary"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["similar", "--movie", "Batman"], "Batman Forever (1995) (id 29), Batman"),
        (["similar", "--movie", "Chasing Amy (1997)"], "Chasing Amy (1997)"),
        (["new-user", "--rate", "50"], "--rate 50: "),
        (["new-user", "--rate", "=5"], "--rate =5: "),
        (["new-user", "--rate", "50=nan"], "--rate 50=nan: "),
        (
            ["new-user", "--rate", "50=5", "--rate", "star wars (1977)=4"],
            "--rate star wars (1977)=4: ",
        ),
        (["new-user"], "--rate"),
        (["recommend"], "--user"),
        (["explain", "--movie", "50"], "either --user or --rate"),
        (["explain", "--movie", "50", "--user", "1", "--rate", "29=4"], "either --user or --rate"),
        (["recommend", "--user", "1", "-k", "0"], "-k"),
        (["recommend", "--user", "1", "--model-version", "1", "--label", "a"], "label"),
        (["status", "--timeout", "0"], "timeout"),
        (["status", "--tls-key", "key.pem"], "certificate"),
        (["status", "--tls-authority", "nowhere.pem"], "nowhere.pem"),
        (["status", "--target", "localhost"], "localhost"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_1(
    port: int, arguments: list[str], message: str
) -> None:
    given = ["--target", f"127.0.0.1:{port}"] if "--target" not in arguments else []
    assert_refused(movierec("query", *arguments, *given), message)


def test_no_server_is_one_line() -> None:
    assert_refused(query(1, "status"), "127.0.0.1:1: ")


def test_tls(model: FakeModel, tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    stranger.cert_pem.write_to_path(str(tmp_path / "stranger.pem"))
    for name in ("127.0.0.1", "client@example.org"):
        issued = authority.issue_cert(name)
        issued.private_key_pem.write_to_path(str(tmp_path / f"{name}.key"))
        issued.cert_chain_pems[0].write_to_path(str(tmp_path / f"{name}.pem"))
    credentials = ServerTls(
        tmp_path / "127.0.0.1.key", tmp_path / "127.0.0.1.pem", tmp_path / "authority.pem"
    ).credentials()
    mine = [
        "--tls-key", str(tmp_path / "client@example.org.key"),
        "--tls-certificate", str(tmp_path / "client@example.org.pem"),
    ]  # fmt: skip
    with served(model, 0, credentials) as port:
        trusting = ["--tls-authority", str(tmp_path / "authority.pem")]
        assert len(answer(port, "status", *trusting, *mine)) == 2
        others = ["--tls-authority", str(tmp_path / "stranger.pem"), *mine]
        target = ["--target", f"127.0.0.1:{port}"]
        refused = movierec_with_imports("query", "status", *target, *others)
    # One line: gRPC adds none of its own, since it is told so before it is imported.
    assert_refused(refused, "certificate")


def test_an_interrupted_query_speaks_of_no_run(port: int, model: FakeModel) -> None:
    model.hold = threading.Event()
    # Who runs the tests in the background may have them, and what they start, ignore the signal.
    heeding = (
        "import runpy, signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "runpy.run_module('movierec', run_name='__main__')"
    )
    command = [sys.executable, "-c", heeding, "query", "status", "--timeout", "60"]
    with subprocess.Popen(
        [*command, "--target", f"127.0.0.1:{port}"],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not model.requests:
            threading.Event().wait(0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode == 130
    assert said == "movierec: interrupted\n"


def test_a_query_imports_no_tensorflow() -> None:
    _, modules = imported_by("query", "status", "--target", "127.0.0.1:1")
    assert "grpc" in modules
    assert not {"tensorflow", "tfx", "pyarrow"} & modules
