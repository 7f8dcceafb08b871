"""The pages of the explorer."""

from __future__ import annotations

import math
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException

from movierec.explorer.movie_map import HEIGHT, WIDTH, draw_map
from movierec.explorer.served_model import PredictedRating, ServedModel, if_offered
from movierec.explorer.user_ratings import scale_of
from serving.answers import Explanation, Movie, Recommendation, figure_name
from serving.client import RequestRefusedError
from serving.client.movie_search import MovieNotFoundError, find_movie, titles_containing
from serving.errors import ServingError
from serving.web_security import GuardedPages

_FOLDER: Final = Path(__file__).parent
_MOST_SHOWN: Final = 100
_MOST_RATED: Final = 50
# Suggestions for the title that is being typed, and movies offered for a first rating.
_SUGGESTIONS: Final = 12
_TO_RATE: Final = 10
_LONGEST: Final = 200
_WRONG_ADDRESS: Final = "This address is wrong"

_Text = Annotated[str, Query(max_length=_LONGEST)]
_Count = Annotated[int, Query(ge=1, le=_MOST_SHOWN)]
_Stars = Annotated[float, Query(allow_inf_nan=False)]
_Ratings = Annotated[list[str], Query(max_length=_MOST_RATED)]


def explorer_app(served: ServedModel, host: str) -> FastAPI:
    """Returns the application.

    Every page is a GET without effects: it can be bookmarked, and another site can trigger nothing.

    Args:
        served: Model to ask.
        host: Name or address that the server listens at.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(GuardedPages, host=host)
    app.mount("/static", StaticFiles(directory=_FOLDER / "static"))
    pages = _Pages(served)
    for path, page in (
        ("/", pages.users),
        ("/movies", pages.movies),
        ("/new-user", pages.new_user),
        ("/map", pages.movie_map),
        ("/suggestions", pages.suggestions),
    ):
        app.get(path, response_class=HTMLResponse, response_model=None)(page)
    app.get("/version", response_model=None)(pages.version)
    app.exception_handler(ServingError)(pages.refused)
    app.exception_handler(RequestValidationError)(pages.malformed)
    app.exception_handler(HTTPException)(pages.missing)
    return app


class _WrongAddressError(ServingError):
    """A parameter of the address is wrong."""


class _Pages:
    def __init__(self, served: ServedModel) -> None:
        self._served = served
        environment = Environment(
            loader=FileSystemLoader(_FOLDER / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters["query"] = urlencode
        environment.filters["stars"] = "{:g}".format
        environment.globals["figure_name"] = figure_name
        self._templates = Jinja2Templates(env=environment)

    def users(
        self,
        request: Request,
        user: _Text = "",
        k: _Count = 10,
        genre: _Text = "",
        title: _Text = "",
        why: _Text = "",
    ) -> Response:
        """Shows what a user rated, what is recommended to them, and why one movie is.

        Args:
            request: Request of the browser.
            user: Id of the user.
            k: Number of movies to recommend.
            genre: Genre to recommend among; empty for all.
            title: Title or id of a movie to predict a rating for.
            why: Id of a movie to explain.
        """
        catalogue = self._served.catalogue()
        known = self._served.ratings()
        user = user.strip()
        context: dict[str, Any] = {"user": user, "k": k, "genre": genre, "title": title}
        asked = {"user": user, "k": k, "genre": genre, "title": title}
        context["to_explain"] = lambda movie_id: f"/?{urlencode({**asked, 'why': movie_id})}"
        context["without_why"] = f"/?{urlencode(asked)}"
        if user:
            context |= {
                "is_known": user in catalogue.user_index,
                "rated": known.of(user) if known else None,
                "seen": catalogue.seen_by(user),
                "recommended": self._recommended(user, k, genre),
                "rating": self._rating(user, title) if title else None,
                "why": self._why(why, lambda movie: self._served.client.explain(user, movie)),
            }
        return self._page(request, "users.html", context | {"samples": catalogue.sample_users()})

    def movies(self, request: Request, title: _Text = "", k: _Count = 10) -> Response:
        """Shows the movies that are similar to one."""
        title = title.strip()
        context: dict[str, Any] = {"title": title, "k": k, "movie": None, "problem": None}
        if not title:
            return self._page(request, "movies.html", context)
        movies = self._served.catalogue().movies
        try:
            movie = find_movie(movies, title)
        except MovieNotFoundError as error:
            named = titles_containing(movies, title, _SUGGESTIONS)
            context |= {"problem": str(error), "named": named or error.candidates}
            return self._page(request, "movies.html", context, HTTPStatus.NOT_FOUND)
        context |= {"movie": movie, "similar": self._served.client.similar(movie.movie_id, k)}
        return self._page(request, "movies.html", context)

    def new_user(
        self,
        request: Request,
        rate: _Ratings = [],  # noqa: B006 - FastAPI copies it
        title: _Text = "",
        stars: _Stars | None = None,
        k: _Count = 10,
        why: _Text = "",
    ) -> Response:
        """Lets somebody new rate movies, and shows what is recommended to them.

        Args:
            request: Request of the browser.
            rate: Ratings so far, each `STARS:ID`.
            title: Title or id of one more movie.
            stars: Rating of that movie.
            k: Number of movies to recommend.
            why: Id of a movie to explain.
        """
        client = self._served.client
        catalogue = self._served.catalogue()
        ratings = dict(_parsed_rating(text) for text in rate)
        if title.strip() and stars is not None:
            ratings[find_movie(catalogue.movies, title).movie_id] = stars
            # The address has the ratings alone, so that going back takes the last one away.
            return RedirectResponse(f"/new-user?{_as_query(ratings, k)}", HTTPStatus.SEE_OTHER)
        rated = [
            (movie, ratings[movie.movie_id])
            for movie_id in ratings
            if (movie := self._movie(movie_id)) is not None
        ]
        context = {
            "rated": rated,
            "k": k,
            "scale": scale_of(self._served.ratings()),
            "to_rate": [each for each in catalogue.movies if each.movie_id not in ratings],
            "to_rate_shown": _TO_RATE,
            "with_rating": lambda movie_id, value: _as_query({**ratings, movie_id: value}, k),
            "without": lambda movie_id: _as_query(
                {key: value for key, value in ratings.items() if key != movie_id}, k
            ),
            "to_explain": lambda movie_id: (
                f"/new-user?{_as_query(ratings, k)}&{urlencode({'why': movie_id})}"
            ),
            "without_why": f"/new-user?{_as_query(ratings, k)}",
            "recommended": client.recommend_for_ratings(ratings, k),
            "why": self._why(why, lambda movie: client.explain_for_ratings(ratings, movie)),
        }
        return self._page(request, "new_user.html", context)

    def movie_map(self, request: Request, genre: _Text = "") -> Response:
        """Shows the movies in two dimensions."""
        catalogue = self._served.catalogue()
        if genre and genre not in catalogue.genres:
            raise _WrongAddressError(f"genre {genre!r}: no movie of the model has this genre")
        drawn = draw_map(catalogue, genre or None)
        return self._page(
            request,
            "map.html",
            {"genre": genre, "map": drawn, "width": WIDTH, "height": HEIGHT},
        )

    def suggestions(self, text: _Text = "") -> Response:
        """Returns options for a title that is being typed."""
        found = titles_containing(self._served.catalogue().movies, text, _SUGGESTIONS)
        content = self._templates.get_template("suggestions.html").render(movies=found)
        return HTMLResponse(content)

    def version(self) -> Response:
        """Returns the version that answers, as JSON."""
        return JSONResponse({"version": str(self._served.version())})

    def refused(self, request: Request, error: ServingError) -> Response:
        """Shows why the model cannot be asked, or what it refuses."""
        if isinstance(error, _WrongAddressError):
            status, heading = HTTPStatus.BAD_REQUEST, _WRONG_ADDRESS
        elif isinstance(error, MovieNotFoundError):
            status, heading = HTTPStatus.NOT_FOUND, "Not found"
        elif isinstance(error, RequestRefusedError):
            status, heading = HTTPStatus.BAD_REQUEST, "The model server refuses this"
        else:
            status, heading = HTTPStatus.SERVICE_UNAVAILABLE, "The model server does not answer"
        return self._problem(request, status, heading, str(error))

    def malformed(self, request: Request, error: RequestValidationError) -> Response:
        """Shows which parameter of the address is wrong."""
        first = error.errors()[0]
        text = f"{first['loc'][-1]}: {first['msg'].lower()}"
        return self._problem(request, HTTPStatus.BAD_REQUEST, _WRONG_ADDRESS, text)

    def missing(self, request: Request, error: HTTPException) -> Response:
        """Shows that there is no such page."""
        return self._problem(
            request, HTTPStatus(error.status_code), "There is no such page", request.url.path
        )

    def _recommended(self, user: str, k: int, genre: str) -> list[Recommendation]:
        client = self._served.client
        return client.recommend_among(user, (), [genre], k) if genre else client.recommend(user, k)

    def _rating(self, user: str, title: str) -> tuple[Movie, PredictedRating | None]:
        """Returns the movie of a title and its predicted rating; None from a model without any."""
        movie = find_movie(self._served.catalogue().movies, title)
        return movie, self._served.predicted_rating(user, movie.movie_id)

    def _why(
        self, movie_id: str, explain: Callable[[str], Explanation]
    ) -> tuple[Movie, Explanation | None] | None:
        """Returns the movie to explain and its explanation; None from a model that has none.

        Args:
            movie_id: Id of the movie; empty to explain none.
            explain: Function of an id that returns the explanation.
        """
        if not movie_id:
            return None
        movie = self._movie(movie_id)
        if movie is None:
            raise _WrongAddressError(f"why {movie_id!r}: the model does not know this movie")
        return movie, if_offered(lambda: explain(movie_id))

    def _movie(self, movie_id: str) -> Movie | None:
        catalogue = self._served.catalogue()
        index = catalogue.movie_index.get(movie_id)
        return None if index is None else catalogue.movies[index]

    def _page(
        self,
        request: Request,
        template: str,
        context: dict[str, Any],
        status: HTTPStatus = HTTPStatus.OK,
    ) -> Response:
        catalogue = self._served.catalogue()
        shared = {
            "version": str(self._served.version()),
            "genres": catalogue.genres,
            "genres_of": catalogue.genres_of,
            "path": request.url.path,
        }
        return self._templates.TemplateResponse(request, template, shared | context, status)

    def _problem(self, request: Request, status: HTTPStatus, heading: str, text: str) -> Response:
        if request.url.path == "/version":
            return JSONResponse({"error": text}, status)
        try:
            version: str | None = str(self._served.version())
        except ServingError:
            version = None
        context = {"version": version, "path": request.url.path, "heading": heading, "text": text}
        return self._templates.TemplateResponse(request, "problem.html", context, status)


def _parsed_rating(text: str) -> tuple[str, float]:
    given, _, movie_id = text.partition(":")
    try:
        stars = float(given)
    except ValueError:
        stars = math.nan
    if not movie_id or not math.isfinite(stars):
        raise _WrongAddressError(f"rate {text!r}: expected STARS:ID, such as 4:50")
    return movie_id, stars


def _as_query(ratings: dict[str, float], k: int) -> str:
    rated = [("rate", f"{stars:g}:{movie_id}") for movie_id, stars in ratings.items()]
    return urlencode([*rated, ("k", k)])
