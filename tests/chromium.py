"""A headless Chromium for tests of pages, with axe-core where it is installed.

They need Playwright's Python package and Debian's `chromium`, and for axe the file of axe-core
that AXE_CORE names (`npm install axe-core`). SCREENSHOTS names a folder to keep pictures in.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
_CHROMIUM = shutil.which("chromium")
_AXE = os.environ.get("AXE_CORE", "")

NEEDED = [
    pytest.mark.slow,
    pytest.mark.skipif(_CHROMIUM is None, reason="chromium is not installed"),
]
"""Marks of a file of tests that need a browser."""

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
SIZES = [pytest.param(DESKTOP, id="desktop"), pytest.param(PHONE, id="phone")]


@contextmanager
def chromium() -> Iterator[Any]:
    """Runs a browser."""
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


def assert_page_fits(page: Any, name: str) -> None:
    """Fails if a page is wider than the window, or if axe finds anything, where it is installed.

    Args:
        page: Opened page.
        name: Name of its picture.
    """
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=str(Path(folder, f"{name}.png")), full_page=True)
    if not _AXE:
        pytest.skip("AXE_CORE names no file of axe-core")
    # A page's own policy may let no foreign script in; the debugger may evaluate one.
    page.evaluate(Path(_AXE).read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")
    assert found["passes"]
    assert [
        (entry["impact"], entry["id"], node["html"], node["failureSummary"])
        for entry in found["violations"]
        for node in entry["nodes"]
    ] == []
