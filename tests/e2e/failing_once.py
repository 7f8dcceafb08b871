"""A pytest plugin: a shared fixture that fails is one failure, not one for each test."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

FAILED = pytest.StashKey[dict[str, str]]()
"""Why fixtures of a module or the session failed, by name."""


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    try:
        return (yield)
    except Exception as error:
        if fixturedef.scope != "function":
            failed = request.config.stash.setdefault(FAILED, {})
            failed[fixturedef.argname] = f"{type(error).__name__}: {error}"
        raise


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips a test that needs a fixture which has failed; the first one is not skipped."""
    assert isinstance(item, pytest.Function)
    for fixture, reason in item.config.stash.get(FAILED, {}).items():
        if fixture in item.fixturenames:
            pytest.skip(f"the fixture {fixture} failed in an earlier test: {reason}")
