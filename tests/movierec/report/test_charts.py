from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from movierec.report import charts

HOSTILE = '<script>alert("&")</script>'
CHARTS = {
    "bars": charts.bars([HOSTILE, "b"], [1, 2], HOSTILE, "y", f"{HOSTILE} bars"),
    "lines": charts.lines(
        [1, 2, 3],
        {HOSTILE: [1, 2, 1], "other": [3, 2, 1]},
        ("x", "y"),
        f"{HOSTILE} lines",
        2,
        HOSTILE,
    ),
    "points": charts.points_with_ends(
        [HOSTILE, "b"], [1, 2], [(0.5, 1.5), None], "x", f"{HOSTILE} points", 1.5
    ),
    "diagonal": charts.diagonal(*np.sort(np.ones((4, 3)).cumsum(axis=1)), f"{HOSTILE} diagonal"),
}


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_is_one_svg_that_says_what_it_shows(name: str) -> None:
    root = ElementTree.fromstring(CHARTS[name])
    assert root.tag.endswith("svg")
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == f"{HOSTILE} {name}"
    assert not [one for one in root.iter() if one.tag.endswith(("script", "style", "image"))]


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_takes_its_colours_and_fonts_from_the_page(name: str) -> None:
    # Matplotlib's black and white would be wrong in one of light and dark.
    assert not re.search(r"#[0-9a-f]{6}", CHARTS[name])
    assert "font-family" not in CHARTS[name]
    assert "var(--accent)" in CHARTS[name]


def test_a_long_name_leaves_room_for_its_row() -> None:
    long = "of a very long occupation " * 20
    root = ElementTree.fromstring(
        charts.points_with_ends([long, "b"], [1, 2], [None] * 2, "x", "t")
    )
    texts = ["".join(one.itertext()) for one in root.iter() if one.tag.endswith("}text")]
    (shown,) = [text for text in texts if text.startswith("of a very")]
    assert shown.endswith("…")
    assert long.startswith(shown[:-1])
    # The width of the page's box, and where the axes begin.
    width = float(root.attrib["viewBox"].split()[2])
    places = [float(one.attrib["x"]) for one in root.iter() if one.tag.endswith("}use")]
    assert places
    assert all(width / 4 < place < width for place in places if place)


def test_charts_of_one_page_share_no_id() -> None:
    ids = [one for name in CHARTS for one in re.findall(r'\bid="([^"]*)"', CHARTS[name])]
    other = charts.bars(["a"], [1], "x", "y", "another")
    ids += re.findall(r'\bid="([^"]*)"', other)
    assert len(ids) == len(set(ids))
