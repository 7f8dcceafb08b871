"""The explorer's stories in a headless Chromium, with axe-core where it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.chromium import DESKTOP, NEEDED, PHONE, SIZES, assert_page_fits, chromium
from tests.models.export.exported_models import export
from tests.movierec.explorer.conftest import Explored

pytestmark = NEEDED

PATHS = (
    "/",
    "/?user=u1&title=m3",
    "/?user=u0&why=m3",
    "/movies?title=m1",
    "/new-user?rate=5:m1",
    "/map",
    "/nothing",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as launched:
        yield launched


@pytest.fixture
def page(browser: Any, explored: Explored) -> Iterator[Any]:
    """A page that fails the test for an error in the console or a request to elsewhere."""
    context = browser.new_context(base_url=explored.url, viewport=DESKTOP)
    opened = context.new_page()
    opened.set_default_timeout(60_000)
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    opened.on(
        "request",
        lambda sent: None if sent.url.startswith(explored.url) else errors.append(sent.url),
    )
    yield opened
    context.close()
    # A page that is not found, or a server that is down, is told on the console too.
    assert [text for text in errors if "Failed to load resource" not in text] == []


def titles(page: Any) -> list[str]:
    return [text.strip() for text in page.locator("tbody tr td:first-child").all_inner_texts()]


def test_a_user_is_picked_by_keyboard_alone(page: Any) -> None:
    page.goto("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("u1")
    page.keyboard.press("Enter")
    page.wait_for_selector("h2#recommended")
    assert page.url.endswith("user=u1&genre=&title=&k=10")
    assert page.locator("h1").inner_text() == "User u1"
    # The cursor stays where it was.
    assert page.evaluate("document.activeElement.id") == "user"
    page.go_back()
    page.wait_for_selector("h1:has-text('Pick a user')")


def test_a_genre_is_chosen(page: Any) -> None:
    page.goto("/?user=nobody")
    assert len(titles(page)) == 5
    page.get_by_label("Genre").select_option("Comedy")
    page.get_by_role("button", name="Show").click()
    page.wait_for_selector("h2:has-text('among Comedy')")
    assert sorted(titles(page)) == ["Movie m2", "Movie m3"]


def test_reasons_are_opened_and_closed_by_keyboard(page: Any) -> None:
    page.goto("/?user=u0")
    page.get_by_role("link", name="Why Movie m3").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("h2#why:has-text('Why Movie m3')")
    assert page.evaluate("document.activeElement.id") == "why"
    assert page.locator("section.why tfoot tr").count() == 3
    page.get_by_role("link", name="Close the reasons").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("h2#why", state="detached")
    page.go_back()
    page.wait_for_selector("h2#why")


def test_a_title_is_suggested_and_movies_like_it_are_shown(page: Any) -> None:
    page.goto("/movies")
    field = page.get_by_label("Title or ID of a movie")
    field.press_sequentially("movie m4")
    page.wait_for_selector("datalist option", state="attached")
    options = page.locator("datalist option").evaluate_all("all => all.map(one => one.value)")
    assert options == ["Movie m4"]
    field.press("Enter")
    page.wait_for_selector("h1:has-text('Movies like Movie m4')")
    assert sorted(titles(page)) == [f"Movie m{place}" for place in (0, 1, 2, 3)]


def test_somebody_new_rates_and_the_list_changes_without_a_new_page(page: Any) -> None:
    page.goto("/new-user")
    page.evaluate("window.kept = true")
    before = page.locator("tbody tr").all_inner_texts()
    page.get_by_role("link", name="5 stars for Movie m1").click()
    page.wait_for_selector("text=After 1 rating.")
    after = page.locator("tbody tr").all_inner_texts()
    assert len(after) == len(before) - 1
    assert set(after) - set(before)
    page.get_by_label("Title or ID of a movie").fill("m4")
    page.get_by_label("2", exact=True).check()
    page.get_by_role("button", name="Rate").click()
    page.wait_for_selector("text=After 2 ratings.")
    page.get_by_role("link", name="Remove the rating of Movie m1").click()
    page.wait_for_selector("text=After 1 rating.")
    assert "Movie m4: 2 stars" in page.locator("section[aria-labelledby=mine]").inner_text()
    assert page.evaluate("window.kept")


def test_a_point_of_the_map_leads_to_its_movie(page: Any) -> None:
    page.goto("/map")
    point = page.locator("circle[data-movie=m2]")
    point.hover()
    assert page.locator("#point").inner_text() == "Movie m2"
    point.click()
    page.wait_for_selector("h1:has-text('Movies like Movie m2')")


def test_points_of_the_map_are_seen_on_a_phone(page: Any) -> None:
    page.set_viewport_size(PHONE)
    page.goto("/map")
    # In pixels; as parts of the map they would shrink to less than a third with it.
    assert page.locator("circle[data-movie=m2]").bounding_box()["width"] > 6


def test_a_version_that_takes_over_is_seen(page: Any, explored: Explored) -> None:
    page.goto("/?user=nobody")
    old = explored.version.name
    assert page.locator("#version").inner_text() == f"Version {old} answers"
    before = page.locator("tbody").inner_text()
    page.locator("h1").click()
    new = explored.folder / str(int(old) + 1)
    export("biased_mf", np.random.default_rng(int(new.name)), new.with_name("writing"))
    new.with_name("writing").rename(new)
    page.wait_for_selector(f"#version:has-text('Version {new.name} answers')")
    page.wait_for_function(
        "before => document.querySelector('tbody').innerText !== before", arg=before
    )


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_pages_fit_and_axe_finds_nothing(
    page: Any, path: str, scheme: str, size: dict[str, int]
) -> None:
    page.set_viewport_size(size)
    page.emulate_media(color_scheme=scheme)
    page.goto(path)
    name = "".join(letter if letter.isalnum() else "-" for letter in path)
    assert_page_fits(page, f"{name}-{scheme}-{size['width']}")


def test_a_server_that_is_gone_is_a_clear_page(page: Any, explored: Explored) -> None:
    """The last test of the file, since the server does not come back."""
    page.goto("/")
    explored.server.stop()
    page.wait_for_selector("#version:has-text('No answer')")
    page.get_by_label("ID of a user").fill("u1")
    page.get_by_role("button", name="Show").click()
    page.wait_for_selector("h1:has-text('The model server does not answer')")
    assert "movierec serve" in page.locator("main").inner_text()
