"""The report on a run and the comparison of two, in a headless Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from movierec.report import comparison, page
from pipeline.workspace import Workspace
from tests.chromium import NEEDED, PHONE, SIZES, assert_page_fits, chromium
from tests.e2e.pipeline_runs import Story

pytestmark = NEEDED


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="module")
def pages(story: Story, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    workspace = Workspace(story.workspace)
    worse, better = story.runs["worse model let through"], story.runs["first"]
    compared = tmp_path_factory.mktemp("compared") / "compared.html"
    compared.write_text(comparison.render(comparison.compare(workspace, worse, better)))
    return {
        "pushed": page.write(workspace, better),
        "not pushed": page.write(workspace, story.runs["stricter gate"]),
        "compared": compared,
    }


@pytest.mark.parametrize("name", ["pushed", "not pushed", "compared"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_pages_fit_and_axe_finds_nothing(
    browser: Any, pages: dict[str, Path], name: str, scheme: str, size: dict[str, int]
) -> None:
    context = browser.new_context(viewport=size, color_scheme=scheme)
    opened = context.new_page()
    opened.set_default_timeout(60_000)
    sent: list[str] = []
    opened.on("request", lambda request: sent.append(request.url))
    address = pages[name].as_uri()
    opened.goto(address)
    assert sent == [address]
    assert_page_fits(opened, f"{name}-{scheme}-{size['width']}")
    context.close()


def test_a_phone_shows_whether_each_condition_is_met(browser: Any, pages: dict[str, Path]) -> None:
    context = browser.new_context(viewport=PHONE)
    opened = context.new_page()
    opened.set_default_timeout(60_000)
    opened.goto(pages["not pushed"].as_uri())
    verdicts = opened.locator("td:has(> .met), td:has(> .missed)")
    ends = verdicts.evaluate_all("cells => cells.map(cell => cell.getBoundingClientRect().right)")
    assert len(ends) > 2
    assert max(ends) <= PHONE["width"]
    context.close()
