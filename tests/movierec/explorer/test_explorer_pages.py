"""The explorer's pages over HTTP, against what the exported vectors say."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlencode

import httpx
import numpy as np
import pytest

from models.export.saved_model import read_table
from serving.client import RecommenderClient
from tests.models.export.exported_models import GENRES, MOVIE_IDS
from tests.models.factories import MOVIES, USERS, statistics
from tests.movierec.explorer.conftest import MODEL, Explored, explore


class Tables(HTMLParser):
    """The cells of a page's tables, row by row, and its links."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.links: list[str] = []
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self._inside = True
            self.rows[-1].append("")
        if tag == "a":
            self.links.append(dict(attrs)["href"] or "")

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "td"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.rows[-1][-1] += data


def get(explored: Explored, path: str, status: int = 200, **query: object) -> str:
    address = f"{explored.url}{path}?{urlencode(query, doseq=True)}"
    answer = httpx.get(address, timeout=30, follow_redirects=True)
    assert answer.status_code == status, answer.text
    return answer.text


def ranked(page: str) -> list[tuple[str, str]]:
    """The movies of a list with their figures, which follow the genres."""
    return [(row[0].strip(), row[2]) for row in Tables(page).rows if row]


def expected(explored: Explored, user: int, left: list[int]) -> list[tuple[str, str]]:
    users, movies = (
        read_table(str(explored.version), f"{kind}_vectors").astype(np.float64)
        for kind in ("user", "movie")
    )
    ratings = movies[left] @ users[user]
    order = np.argsort(-(ratings + popularity()[left]), kind="stable")
    return [(f"Movie m{left[place]}", f"{np.clip(ratings[place], 1, 5):.2f}") for place in order]


def popularity() -> np.ndarray:
    """What the ranking adds to the ratings of the movies, with the default weight of 1."""
    measured = statistics()
    return measured.rating_stddev * np.log(1 + measured.movie_rating_count)


def seen(user: int) -> set[int]:
    rated = statistics().seen
    return set(rated.movie_index[rated.row_splits[user] : rated.row_splits[user + 1]].tolist())


def test_a_user_is_recommended_what_the_vectors_say(explored: Explored) -> None:
    page = get(explored, "/", user="u0", k=5)
    left = [movie for movie in range(MOVIES) if movie not in seen(0)]
    assert ranked(page) == expected(explored, 0, left)
    # The stars alone are not in order.
    assert "Ordered by the score; the stars are the predicted rating" in page
    assert "Movie m0" in page
    assert "Movie m2" in page
    assert f"{len(seen(0))} movies. Their stars are not at hand" in page


def test_a_genre_narrows_what_is_recommended(explored: Explored) -> None:
    left = [m for m in range(MOVIES) if m not in seen(0) and "Comedy" in GENRES[m]]
    assert left
    assert ranked(get(explored, "/", user="u0", genre="Comedy")) == expected(explored, 0, left)


def test_an_unknown_user_is_named_as_one(explored: Explored) -> None:
    page = get(explored, "/", user="<b>nobody</b>", k=3)
    assert "does not know user &lt;b&gt;nobody&lt;/b&gt;" in page
    assert "<b>nobody" not in page
    assert ranked(page) == expected(explored, USERS, list(range(MOVIES)))[:3]


def test_a_rating_is_predicted(explored: Explored) -> None:
    ((_, stars),) = expected(explored, 1, [3])
    page = get(explored, "/", user="u1", title="movie m3")
    assert f"<b>{stars}</b> stars" in page


def sections(page: str) -> list[str]:
    """The part of a page with the reasons, if there is one."""
    return re.findall(r'<section class="why".*?</section>', page, re.DOTALL)


def adds_up(rows: list[list[str]]) -> None:
    *reasons, baseline, others, score = [float(row[-1]) for row in rows if row]
    # Each of the figures is rounded to three digits.
    assert sum(reasons) + baseline + others == pytest.approx(score, abs=0.0005 * len(rows))


def test_reasons_are_what_the_user_rated_and_add_up_to_the_score(explored: Explored) -> None:
    page = get(explored, "/", user="u0", k=5)
    assert "/?user=u0&k=5&genre=&title=&why=m3" in Tables(page).links
    explained = get(explored, "/", user="u0", k=5, why="m3")
    assert ranked(explained.partition('<div class="columns">')[2]) == ranked(page)
    (reasons,) = sections(explained)
    rows = Tables(reasons).rows
    named = {row[0].strip() for row in rows if len(row) == 3}
    assert named == {f"Movie m{movie}" for movie in seen(0)}
    adds_up(rows)
    shown = float(rows[-1][-1])
    (stars,) = (stars for title, stars in ranked(page) if title == "Movie m3")
    assert 1 < float(stars) < 5
    assert shown == pytest.approx(float(stars) + popularity()[3], abs=0.006)
    assert sections(get(explored, "/", user="u0", k=5)) == []


def test_reasons_of_somebody_new(explored: Explored) -> None:
    address = {"rate": ["5:m1", "2:m4"], "why": "m2"}
    (reasons,) = sections(get(explored, "/new-user", **address))
    rows = Tables(reasons).rows
    assert {(row[0].strip(), row[1]) for row in rows if len(row) == 3} == {
        ("Movie m1", "5"),
        ("Movie m4", "2"),
    }
    adds_up(rows)


def test_who_rated_nothing_has_no_reasons(explored: Explored) -> None:
    (reasons,) = sections(get(explored, "/", user="nobody", why="m1"))
    assert "There are no ratings that could explain it" in reasons
    assert "the model does not know this movie" in get(explored, "/", 400, user="u0", why="m9")


def test_similar_movies_have_the_highest_cosines(explored: Explored) -> None:
    vectors = read_table(str(explored.version), "movie_vectors")[:MOVIES, :3].astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors[2]
    best = [int(movie) for movie in np.argsort(-cosines) if movie != 2]
    page = get(explored, "/movies", title="Movie m2")
    assert ranked(page) == [(f"Movie m{movie}", f"{cosines[movie]:.2f}") for movie in best]


def test_a_title_that_is_none_gets_suggestions_that_are_links(explored: Explored) -> None:
    page = get(explored, "/movies", 404, title="ovie")
    assert {f"/movies?title={movie}" for movie in MOVIE_IDS} <= set(Tables(page).links)
    assert "no movie of the model" in page
    assert "Version <b>" in page
    misspelt = get(explored, "/movies", 404, title="Movei m3")
    assert "/movies?title=m3" in Tables(misspelt).links


def test_suggestions_are_the_titles_that_contain_the_text(explored: Explored) -> None:
    assert re.findall(r'value="(.*)"', get(explored, "/suggestions", text="E M3")) == ["Movie m3"]
    assert get(explored, "/suggestions", text="").strip() == ""


def test_each_rating_of_somebody_new_changes_the_list(explored: Explored) -> None:
    first = get(explored, "/new-user")
    assert ranked(first) == expected(explored, USERS, list(range(MOVIES)))
    second = get(explored, "/new-user", title="Movie m1", stars=5)
    third = get(explored, "/new-user", rate=["5:m1", "1:m4"])
    lists = [ranked(page) for page in (first, second, third)]
    assert [len(found) for found in lists] == [MOVIES, MOVIES - 1, MOVIES - 2]
    assert dict(lists[1])["Movie m0"] != dict(lists[2])["Movie m0"]
    assert "/new-user?rate=5%3Am1&k=10" in Tables(third).links
    assert "After 2 ratings." in third
    assert "Movie m4</a>: 1 star\n" in third
    assert 'aria-label="1 star for Movie m0"' in third
    assert 'aria-label="5 stars for Movie m0"' in third


def test_the_map_has_every_movie_once(explored: Explored) -> None:
    page = get(explored, "/map")
    assert sorted(re.findall(r'data-movie="(\w+)"', page)) == MOVIE_IDS
    dim = re.findall(r'dim" data-movie="(\w+)"', get(explored, "/map", genre="Drama"))
    assert set(dim) == {m for m, of in zip(MOVIE_IDS, GENRES, strict=True) if "Drama" not in of}


def test_the_version_that_answers(explored: Explored) -> None:
    assert json.loads(get(explored, "/version")) == {"version": explored.version.name}


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/?user=u1&k=0", 400, "k: "),
        ("/?user=u1&k=many", 400, "k: "),
        (f"/?user={'u' * 201}", 400, "user: "),
        ("/new-user?" + "rate=5:m1&" * 51, 400, "rate: "),
        ("/new-user?rate=five:m1", 400, "STARS:ID"),
        ("/new-user?rate=nan:m1", 400, "STARS:ID"),
        ("/new-user?title=m1&stars=inf", 400, "stars: "),
        ("/map?genre=Western", 400, "genre"),
        ("/nothing", 404, "no such page"),
        ("/static/../pages.py", 404, "no such page"),
    ],
)
def test_what_is_wrong_with_a_request_is_a_page(
    explored: Explored, path: str, status: int, text: str
) -> None:
    answer = httpx.get(explored.url + path)
    assert answer.status_code == status
    assert text in answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil", ""])
def test_a_foreign_host_name_is_refused(explored: Explored, host: str) -> None:
    answer = httpx.get(explored.url, headers={"Host": host})
    assert answer.status_code == 421
    assert "movierec explorer" not in answer.text


@pytest.mark.parametrize(
    "host", ["localhost:1", "LOCALHOST", "127.0.0.1", "[::1]:8600", "10.0.0.9"]
)
def test_addresses_and_localhost_are_answered(explored: Explored, host: str) -> None:
    answer = httpx.get(explored.url, headers={"Host": host})
    assert answer.status_code == 200


def test_pages_load_nothing_from_elsewhere(explored: Explored) -> None:
    for path in ("/", "/?user=u1", "/movies?title=m1", "/new-user", "/map"):
        answer = httpx.get(explored.url + path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "://" not in re.sub("http://www.w3.org/2000/svg", "", answer.text)
        assert not re.search(r"\sstyle=|\son\w+=|<style|<script(?! src=\"/static/)", answer.text)


def test_only_get_is_answered(explored: Explored) -> None:
    assert httpx.post(explored.url).status_code == 405


def test_a_rating_shows_how_sure_it_is(
    exported_model: Callable[[str], Path], tmp_path: Path
) -> None:
    with explore(exported_model("bayesian_mf"), tmp_path) as explored:
        page = get(explored, "/", user="u0", title="Movie m1")
        with RecommenderClient(f"127.0.0.1:{explored.server.port}", MODEL, timeout=60) as client:
            (told,) = client.predict_interval(["u0"], ["m1"])
    assert f"<b>{told.rating:.2f}</b> stars, give or take {told.standard_deviation:.2f};" in page
    low, high = (
        min(5, max(1, told.rating + sign * 1.96 * told.standard_deviation)) for sign in (-1, 1)
    )
    assert f"between {low:.2f} and {high:.2f} with a probability of 95 %" in page
