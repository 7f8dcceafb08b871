import pytest

from serving.answers import Movie
from serving.client.movie_search import MovieNotFoundError, find_movie

MOVIES = [
    Movie("50", "Star Wars (1977)"),
    Movie("29", "Batman Forever (1995)"),
    Movie("231", "Batman Returns (1992)"),
    Movie("268", "Chasing Amy (1997)"),
    Movie("246", "Chasing Amy (1997)"),
    Movie("7", "50"),
    Movie("8", "Amélie (2001)"),
    Movie("9", ""),
]


@pytest.mark.parametrize(
    ("text", "movie_id"),
    [
        ("29", "29"),
        ("Batman Forever (1995)", "29"),
        (" batman  FOREVER (1995) ", "29"),
        # An id goes before a title.
        ("50", "50"),
        # The accent as a character of its own.
        ("Ame\u0301lie (2001)", "8"),
    ],
)
def test_an_id_or_a_title(text: str, movie_id: str) -> None:
    assert find_movie(MOVIES, text).movie_id == movie_id


@pytest.mark.parametrize(
    ("text", "suggested"),
    [
        ("batman", ["29", "231"]),
        ("Btman Forevr", ["29"]),
        ("Star Warts (1978)", ["50"]),
        ("Chasing Any", ["268", "246"]),
    ],
)
def test_what_is_like_it_is_suggested(text: str, suggested: list[str]) -> None:
    with pytest.raises(MovieNotFoundError, match="did you mean") as caught:
        find_movie(MOVIES, text)
    for movie_id in suggested:
        assert f"(id {movie_id})" in str(caught.value)
    assert [movie.movie_id for movie in caught.value.candidates][: len(suggested)] == suggested
    assert "Amélie" not in str(caught.value)


def test_nothing_is_like_it() -> None:
    with pytest.raises(MovieNotFoundError, match="no title is similar"):
        find_movie(MOVIES, "qqqq")
    with pytest.raises(MovieNotFoundError, match="no title is similar"):
        find_movie([], "Heat")


def test_a_title_of_several_is_refused_with_their_ids() -> None:
    with pytest.raises(
        MovieNotFoundError, match=r"several movies have this title.*: 268, 246$"
    ) as caught:
        find_movie(MOVIES, "Chasing Amy (1997)")
    assert [movie.movie_id for movie in caught.value.candidates] == ["268", "246"]


def test_suggestions_are_few_and_those_of_the_front() -> None:
    many = [Movie(str(number), f"Part {number}") for number in range(20)]
    with pytest.raises(MovieNotFoundError) as caught:
        find_movie(many, "part")
    assert [f"(id {number})" in str(caught.value) for number in range(7)] == [True] * 5 + [
        False
    ] * 2
