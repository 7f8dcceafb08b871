"""Both clients behind one blocking interface, so that each test runs with both."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from serving.client import AsyncRecommenderClient, RecommenderClient


class Blocking:
    """An async client on an event loop of its own, whose methods block."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        try:
            self._client = self._run(self._made(*arguments, **options))
        except BaseException:
            self.end()
            raise

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **options: self._run(
            getattr(self._client, name)(*arguments, **options)
        )

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _made(self, *arguments: Any, **options: Any) -> AsyncRecommenderClient:
        return AsyncRecommenderClient(*arguments, **options)

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


@contextmanager
def connected(kind: type[Any], port: int | str, **options: Any) -> Iterator[Any]:
    """A client of the port, or of the target; closed at the end."""
    target = port if isinstance(port, str) else f"127.0.0.1:{port}"
    client = kind(target, **options)
    try:
        yield client
    finally:
        client.close()
        if isinstance(client, Blocking):
            client.end()


def public_methods(kind: type[Any]) -> dict[str, list[Any]]:
    """The parameters of each method that users call."""
    return {
        name: list(inspect.signature(method).parameters.values())
        for name, method in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_") or name == "__init__"
    }


KINDS = [RecommenderClient, Blocking]
