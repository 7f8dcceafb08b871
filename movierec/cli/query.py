"""`movierec query`: questions to a running model server."""

# Without `from __future__ import annotations`: the options are read off the annotations.

import inspect
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from movierec.cli import help_pages, options, output
from pipeline.config.errors import UserError
from serving.defaults import DEFAULT_MODEL, DEFAULT_TARGET, DEFAULT_TIMEOUT

if TYPE_CHECKING:
    from serving.answers import Movie, Recommendation
    from serving.client import RecommenderClient

query = typer.Typer(name="query")

MovieName = Annotated[
    str, typer.Option("--movie", metavar="MOVIE", help="ID or title of the movie.")
]

_DEFAULT_K = 10
_INTERVAL_LEVEL = 0.8
# The status code of a model that was exported by a release without the signature.
_NO_SIGNATURE = "FAILED_PRECONDITION"


def _server(metavar: str, help_text: str) -> Any:
    return typer.Option(metavar=metavar, help=help_text, rich_help_panel=help_pages.SERVER)


def _tls(help_text: str) -> Any:
    return typer.Option(metavar="FILE", help=help_text, rich_help_panel=help_pages.TLS)


@dataclass(frozen=True)
class Connection:
    """The options of every query: where the server is, and which of its models answers."""

    target: Annotated[str, _server("HOST:PORT", "Address of the model server.")] = DEFAULT_TARGET
    model_name: Annotated[str, _server("NAME", "Name under which the server has the model.")] = (
        DEFAULT_MODEL
    )
    model_version: Annotated[
        int | None, _server("NUMBER", "Version of the model; the newest if not given.")
    ] = None
    label: Annotated[
        str | None, _server("NAME", "Label of a version, instead of --model-version.")
    ] = None
    timeout: Annotated[float, _server("SECONDS", "Time to wait for an answer, in seconds.")] = (
        DEFAULT_TIMEOUT
    )
    tls_authority: Annotated[
        Path | None,
        _tls("Authority (PEM) that signed the server's certificate. Turns on TLS."),
    ] = None
    tls_key: Annotated[
        Path | None, _tls("Private key of this client (PEM), for servers that ask for one.")
    ] = None
    tls_certificate: Annotated[
        Path | None, _tls("Certificate of this client (PEM), for servers that ask for one.")
    ] = None

    def client(self) -> "RecommenderClient":
        """Returns a client, which connects at its first call."""
        # The error has what gRPC would log about a failed handshake.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        from serving.client import RecommenderClient
        from serving.tls import ClientTls

        files = (self.tls_authority, self.tls_key, self.tls_certificate)
        return RecommenderClient(
            self.target,
            self.model_name,
            version=self.model_version,
            label=self.label,
            tls=ClientTls(*files) if any(files) else None,
            timeout=self.timeout,
        )


@query.callback(invoke_without_command=True)
def _query(context: typer.Context) -> None:
    """Ask a running model server.

    `movierec serve` starts one. The commands need neither TensorFlow nor a workspace.
    """
    help_pages.show_help_without_command(context)


def _with_client(command: Callable[..., None]) -> Callable[..., None]:
    """Replaces a command's first parameter, the client, by the options of `Connection`."""
    shared = inspect.signature(Connection).parameters
    own = list(inspect.signature(command).parameters.values())[1:]

    def ask(**options: Any) -> None:
        connection = Connection(**{name: options.pop(name) for name in shared})
        with connection.client() as client:
            command(client, **options)

    ask.__name__, ask.__doc__ = command.__name__, command.__doc__
    parameters = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in (*own, *shared.values())
    ]
    vars(ask)["__signature__"] = inspect.Signature(parameters)
    return ask


@query.command()
@_with_client
def recommend(
    client: "RecommenderClient",
    user: options.UserId,
    k: options.MovieCount = _DEFAULT_K,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="ID of a movie to leave out. May be repeated."),
    ] = None,
    among: options.Among = None,
    genre: options.Genres = None,
    as_json: options.AsJson = False,
) -> None:
    """Recommend movies to a user, without those that they rated in the training data.

    Example: movierec query recommend --user 42 -k 5 --genre Comedy
    """
    if among or genre:
        if exclude:
            raise UserError(
                "--exclude with --among or --genre: expected one of them; leave movies to exclude "
                "out of --among"
            )
        ranking = client.recommend_among(user, among or (), genre or (), k)
    else:
        ranking = client.recommend(user, k, exclude or ())
    _print_ranking(ranking, as_json)


@query.command()
@_with_client
def rating(
    client: "RecommenderClient",
    user: options.UserId,
    movie: MovieName,
    interval: Annotated[
        bool,
        typer.Option(
            "--interval",
            help="Say how sure the rating is (only models that know, such as bayesian_mf).",
        ),
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Predict the rating that a user would give a movie, in stars.

    With --interval, the rating lies between two bounds with a probability of 80 %.

    Example: movierec query rating --user 42 --movie "Fargo (1996)" --interval
    """
    (found,) = _find_movies(client, [movie])
    if interval:
        _print_interval(client, user, found, as_json)
        return
    stars = float(client.predict([user], [found.movie_id])[0])
    if as_json:
        output.print_json({"user_id": user, **asdict(found), "rating": stars})
    else:
        output.print_line(f"{stars:.2f} stars: user {user}, {found.title or found.movie_id}")


def _print_interval(client: "RecommenderClient", user: str, movie: "Movie", as_json: bool) -> None:
    (interval,) = client.predict_interval([user], [movie.movie_id])
    low, high = interval.bounds(_INTERVAL_LEVEL)
    if as_json:
        bounds = {"level": _INTERVAL_LEVEL, "low": low, "high": high}
        output.print_json({"user_id": user, **asdict(movie), **asdict(interval), **bounds})
        return
    output.print_line(
        f"{interval.rating:.2f} stars, {low:.2f} to {high:.2f} with {_INTERVAL_LEVEL:.0%}, liked "
        f"with {interval.liked_probability:.0%}: user {user}, {movie.title or movie.movie_id}"
    )


@query.command()
@_with_client
def similar(
    client: "RecommenderClient",
    movie: MovieName,
    k: options.MovieCount = _DEFAULT_K,
    as_json: options.AsJson = False,
) -> None:
    """Show the movies that are most similar to one.

    The score is the cosine of the movies' vectors.

    Example: movierec query similar --movie "Fargo (1996)"
    """
    (found,) = _find_movies(client, [movie])
    _print_ranking(client.similar(found.movie_id, k), as_json)


@query.command(name="new-user")
@_with_client
def new_user(
    client: "RecommenderClient",
    rate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MOVIE=STARS", help="Rating of a movie, by its ID or title. May be repeated."
        ),
    ] = None,
    age: Annotated[
        int | None,
        typer.Option(
            metavar="YEARS",
            min=1,
            max=200,
            help="Age, instead of ratings (only models that learn from side features).",
        ),
    ] = None,
    gender: Annotated[
        str, typer.Option(metavar="NAME", help="Gender, spelt as in the data, such as F.")
    ] = "",
    occupation: Annotated[
        str, typer.Option(metavar="NAME", help="Occupation, spelt as in the data, such as writer.")
    ] = "",
    k: options.MovieCount = _DEFAULT_K,
    as_json: options.AsJson = False,
) -> None:
    """Recommend movies to a new user, from a few ratings or from a profile.

    What is left out of a profile counts as the mean.

    Example: movierec query new-user --rate "Fargo (1996)=5" --rate 50=3.5

    Example: movierec query new-user --age 34 --gender F --occupation writer
    """
    has_profile = bool(age or gender or occupation)
    if bool(rate) == has_profile:
        raise UserError("expected either --rate, or some of --age, --gender and --occupation")
    if rate:
        ranking = client.recommend_for_ratings(_ratings_of(client, rate), k)
    else:
        ranking = client.recommend_for_profile(age, gender, occupation, k)
    _print_ranking(ranking, as_json)


@query.command(name="new-movie")
@_with_client
def new_movie(
    client: "RecommenderClient",
    user: Annotated[
        list[str],
        typer.Option(metavar="ID", help="ID of a user, known or not. May be repeated."),
    ],
    genre: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Genre, spelt as in the data. May be repeated."),
    ] = None,
    year: Annotated[
        int | None,
        typer.Option(metavar="YEAR", min=1, max=9999, help="Year, if the title has none."),
    ] = None,
    title: Annotated[
        str, typer.Option(metavar="TEXT", help='Title, such as "Heat (1995)"; the year counts.')
    ] = "",
    as_json: options.AsJson = False,
) -> None:
    """Predict the ratings of a movie that nobody has rated, in stars.

    Only models that learn from side features know. What is left out counts as the mean.

    Example: movierec query new-movie --user 42 --genre Drama --genre War --year 1998
    """
    ratings = client.predict_new_movie(user, genre or (), year, title)
    if as_json:
        pairs = zip(user, ratings, strict=True)
        output.print_json([{"user_id": name, "rating": stars} for name, stars in pairs])
        return
    for name, stars in zip(user, ratings, strict=True):
        output.print_line(f"{stars:.2f} stars: user {name}")


@query.command()
@_with_client
def explain(
    client: "RecommenderClient",
    movie: MovieName,
    user: Annotated[str | None, typer.Option(metavar="ID", help="ID of the user.")] = None,
    rate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MOVIE=STARS",
            help="Rating of a new user, instead of --user. May be repeated.",
        ),
    ] = None,
    k: options.MovieCount = _DEFAULT_K,
    as_json: options.AsJson = False,
) -> None:
    """Show which ratings of a user raise the score of a movie, and by how much.

    Example: movierec query explain --user 42 --movie "Fargo (1996)"
    """
    if (user is None) == (not rate):
        raise UserError("expected either --user or --rate")
    (found,) = _find_movies(client, [movie])
    if user is not None:
        explanation = client.explain(user, found.movie_id, k)
    else:
        ratings = _ratings_of(client, rate or [])
        explanation = client.explain_for_ratings(ratings, found.movie_id, k)
    if as_json:
        output.print_json({**asdict(found), **asdict(explanation)})
        return
    from rich.console import Console

    from movierec.cli import tables

    tables.show_explanation(Console(), found.title or found.movie_id, explanation)


@query.command()
@_with_client
def status(client: "RecommenderClient", as_json: options.AsJson = False) -> None:
    """Show the versions of a model that the server has, and their states."""
    statuses = client.model_status()
    if as_json:
        output.print_json([asdict(entry) for entry in statuses])
        return
    from rich.console import Console

    from movierec.cli import tables

    tables.show_status(Console(), statuses)


def _find_movies(client: "RecommenderClient", texts: Sequence[str]) -> "list[Movie]":
    """Returns the movies of ids or titles. Only a title needs the whole catalogue."""
    from serving.client import RequestRefusedError
    from serving.client.movie_search import find_movie

    try:
        known = client.movies(texts)
    except RequestRefusedError as error:
        if error.code.name != _NO_SIGNATURE:
            raise
        known = [None] * len(texts)
    catalogue = client.catalogue() if None in known else []
    return [movie or find_movie(catalogue, text) for text, movie in zip(texts, known, strict=True)]


def _ratings_of(client: "RecommenderClient", rate: Sequence[str]) -> dict[str, float]:
    """Returns the stars of the options `--rate` by movie id."""
    rated = [_parse_rating(text) for text in rate]
    movies = _find_movies(client, [text for text, _ in rated])
    ratings: dict[str, float] = {}
    for (text, stars), movie in zip(rated, movies, strict=True):
        if movie.movie_id in ratings:
            raise UserError(
                f"--rate {text}={stars:g}: {movie.title or text} is rated twice; expected one "
                "rating for each movie"
            )
        ratings[movie.movie_id] = stars
    return ratings


def _parse_rating(text: str) -> tuple[str, float]:
    """Returns the movie and the stars. A title may itself have an equals sign."""
    movie, _, stars = text.rpartition("=")
    try:
        value = float(stars)
    except ValueError:
        value = math.nan
    if not movie or not math.isfinite(value):
        raise UserError(f"--rate {text}: expected ID=STARS or TITLE=STARS, such as 50=4.5")
    return movie.strip(), value


def _print_ranking(ranking: Sequence["Recommendation"], as_json: bool) -> None:
    if as_json:
        output.print_json([asdict(entry) for entry in ranking])
        return
    from rich.console import Console

    from movierec.cli import tables

    tables.show_ranking(Console(), ranking)
