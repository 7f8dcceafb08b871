"""Tests of the asyncio client alone; those of both clients are in test_client.py."""

import asyncio
import threading

import pytest

from serving.client import AsyncRecommenderClient, RecommenderClient
from tests.serving.clients import public_methods
from tests.serving.fake_server import FakeModel, served


def test_the_twins_are_asked_alike() -> None:
    ours, theirs = public_methods(AsyncRecommenderClient), public_methods(RecommenderClient)
    assert ours == theirs


def test_it_is_a_context_manager_and_asks_many_at_once() -> None:
    model = FakeModel(hold=threading.Event())

    async def ask(port: int) -> list[float]:
        async with AsyncRecommenderClient(f"127.0.0.1:{port}", timeout=30) as client:
            asked = [asyncio.create_task(client.predict([str(user)], ["500"])) for user in range(6)]
            # All are on the server, which answers none of them yet.
            while len(model.requests) < len(asked):
                await asyncio.sleep(0.01)
            assert model.hold is not None
            model.hold.set()
            return [float((await answer)[0]) for answer in asked]

    with served(model) as port:
        assert asyncio.run(ask(port)) == [user + 0.5 for user in range(6)]


def test_a_task_that_is_cancelled_is_cancelled() -> None:
    model = FakeModel(hold=threading.Event())

    async def ask(port: int) -> None:
        async with AsyncRecommenderClient(f"127.0.0.1:{port}", timeout=30) as client:
            task = asyncio.create_task(client.recommend("1"))
            while not model.requests:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    with served(model) as port:
        asyncio.run(ask(port))


def test_it_needs_a_loop() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        AsyncRecommenderClient()
