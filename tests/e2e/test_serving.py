"""A model server, the queries and the runs that push new versions, each a process of its own."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.answers import VersionStatus
from serving.client import RecommenderClient
from serving.errors import ServingError
from serving.pushed_model import PushedModel
from serving.versions import newest_version
from tests.e2e.commands import run_command
from tests.e2e.pipeline_runs import LET_THROUGH, SMALL, Story
from tests.movierec.cli.command import COMMAND, assert_refused, movierec

CLIENTS = 8


@dataclass(frozen=True)
class Served:
    """A workspace whose pushed models are being served."""

    workspace: Path
    data: Path
    address: str

    @property
    def newest(self) -> Path:
        return newest_version(self.workspace / "serving" / "movierec")

    def query(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return movierec("query", *arguments, "--target", self.address)

    def answer(self, *arguments: str) -> object:
        result = self.query(*arguments, "--json")
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)


def movierec_run(workspace: Path, data: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return run_command(workspace, f"data.path={data}", *SMALL, *more)


def predicted(model: PushedModel, user: str, movie: str) -> float:
    pair = (np.array([name.encode()], dtype=object) for name in (user, movie))
    return float(model.predict(*pair)[0])


@pytest.fixture(scope="module")
def served(
    first_run: Story, cut: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A copy of what the first run pushed."""
    workspace = tmp_path_factory.mktemp("served")
    folder = Path(str(first_run.runs["first"].pushed_model))
    shutil.copytree(folder, workspace / folder.relative_to(first_run.workspace.resolve()))
    command = [*COMMAND, "serve", "--workspace", str(workspace), "--server", "embedded"]
    with subprocess.Popen(
        [*command, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            line = server.stdout.readline()
            address = re.search(r"127\.0\.0\.1:\d+", line)
            assert address, line or server.stderr.read()
            assert "embedded" in line
            yield Served(workspace, cut, address[0])
        finally:
            server.terminate()
            server.communicate(timeout=60)
        assert server.returncode == 0


def test_each_query_answers_as_the_model_does(served: Served) -> None:
    model = PushedModel(served.newest)
    best = served.answer("recommend", "--user", "13", "-k", "4")
    expected = model.recommend("13", 4)
    assert [entry["movie_id"] for entry in best] == [entry.movie_id for entry in expected]
    assert [entry["title"] for entry in best] == [entry.title for entry in expected]
    assert [entry["score"] for entry in best] == pytest.approx(
        [entry.score for entry in expected], abs=1e-5
    )
    assert [entry["rating"] for entry in best] == pytest.approx(
        [entry.rating for entry in expected], abs=1e-5
    )
    without = served.answer(
        "recommend", "--user", "13", "-k", "3", "--exclude", best[0]["movie_id"]
    )
    assert [entry["movie_id"] for entry in without] == [entry.movie_id for entry in expected[1:]]


def test_a_rating_is_the_one_that_the_model_predicts(served: Served) -> None:
    model = PushedModel(served.newest)
    for user in ("13", "nobody"):
        expected = predicted(model, user, "50")
        assert served.answer("rating", "--user", user, "--movie", "50") == {
            "user_id": user,
            "movie_id": "50",
            "title": "Star Wars (1977)",
            "rating": pytest.approx(expected, abs=1e-5),
        }
        shown = served.query("rating", "--user", user, "--movie", "Star Wars (1977)")
        assert shown.stdout == f"{expected:.2f} stars: user {user}, Star Wars (1977)\n"


def test_movies_are_found_by_title(served: Served) -> None:
    movie = served.answer("recommend", "--user", "13", "-k", "1")[0]
    by_title = served.answer("similar", "--movie", movie["title"], "-k", "3")
    by_id = served.answer("similar", "--movie", movie["movie_id"], "-k", "3")
    assert by_title == by_id
    assert len(by_id) == 3
    unknown = served.query("similar", "--movie", movie["title"][:-3])
    assert unknown.returncode == 1
    assert movie["title"] in unknown.stderr


def test_somebody_new_gets_neither_what_they_rated(served: Served) -> None:
    found = served.answer("new-user", "--rate", "50=5", "--rate", "181=4", "-k", "100")
    assert not {"50", "181"} & {entry["movie_id"] for entry in found}
    assert len(found) > 90


def test_a_server_that_is_gone_is_one_line(served: Served) -> None:
    result = movierec("query", "recommend", "--user", "1", "--target", "127.0.0.1:1")
    assert_refused(result, "127.0.0.1:1", "movierec serve")


def wait_for_state(address: str, version: int, state: str) -> VersionStatus:
    """Looks at what the server says of a version until it is so."""
    end = time.monotonic() + 120
    found: list[VersionStatus] = []
    with RecommenderClient(address, timeout=30) as client:
        while time.monotonic() < end:
            found = client.model_status()
            for each in found:
                if (each.version, each.state) == (version, state):
                    return each
            time.sleep(0.1)
    raise AssertionError(f"version {version} is not {state}: {found}")


@dataclass
class Load:
    """Clients that ask without a pause until they are told to stop."""

    address: str
    failures: list[str] = field(default_factory=list)
    ratings: list[float] = field(default_factory=list)
    best: list[tuple[str, float]] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Load:
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        # One attempt: nothing that fails is asked again.
        with RecommenderClient(self.address, attempts=1, timeout=30) as client:
            while not self._over.is_set():
                try:
                    self.ratings.append(float(client.predict(["13"], ["50"])[0]))
                    (best,) = client.recommend("13", 1)
                    self.best.append((best.movie_id, best.score))
                except ServingError as error:
                    self.failures.append(str(error))


def counts(answers: Sequence[Any], versions: Sequence[Any]) -> list[int]:
    """How many answers are those of each version; every one has to be that of one of them."""
    found = [[version == answer for version in versions] for answer in answers]
    assert all(sum(is_of) == 1 for is_of in found)
    return [sum(of_version) for of_version in zip(*found, strict=True)]


# Two runs of the chain, and eight clients that ask all the while.
@pytest.mark.slow
def test_a_new_version_is_swapped_in_without_a_failed_request(served: Served) -> None:
    first = served.newest
    with Load(served.address) as load:
        ran = movierec_run(served.workspace, served.data, "training.seed=77", *LET_THROUGH)
        assert ran.returncode == 0, ran.stderr
        assert served.newest != first
        wait_for_state(served.address, int(served.newest.name), "AVAILABLE")
        # Until the version before is let go of, it may still answer what came before the swap.
        wait_for_state(served.address, int(first.name), "END")
    assert not load.failures
    models = [PushedModel(folder) for folder in (first, served.newest)]
    ratings = [pytest.approx(predicted(model, "13", "50"), abs=1e-5) for model in models]
    best = []
    for model in models:
        (movie,) = model.recommend("13", 1)
        best.append((movie.movie_id, pytest.approx(movie.score, abs=1e-5)))
    # The two requests of a client may be answered by different versions.
    assert min(counts(load.ratings, ratings)) > 20
    assert min(counts(load.best, best)) > 20


def test_a_corrupt_version_is_refused_and_the_old_one_goes_on(served: Served) -> None:
    good = served.newest
    bad = good.with_name(str(int(good.name) + 1))
    before = served.answer("recommend", "--user", "13", "-k", "5")
    try:
        shutil.copytree(good, bad.with_name(".incoming"))
        graph = bad.with_name(".incoming") / "saved_model.pb"
        graph.write_bytes(graph.read_bytes()[: graph.stat().st_size // 2])
        bad.with_name(".incoming").rename(bad)
        refused = wait_for_state(served.address, int(bad.name), "END")
        assert refused.error
        assert served.answer("recommend", "--user", "13", "-k", "5") == before
        status = served.answer("status")
        assert {str(entry["version"]): entry["state"] for entry in status}[good.name] == "AVAILABLE"
    finally:
        shutil.rmtree(bad)
