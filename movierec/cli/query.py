"""`movierec query`. Nothing heavy is imported before it is needed."""

# Without `from __future__ import annotations`: the options are read off the annotations.

import inspect
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.config.errors import UserError
from serving.defaults import DEFAULT_MODEL, DEFAULT_TARGET, DEFAULT_TIMEOUT

if TYPE_CHECKING:
    from serving.answers import Recommendation
    from serving.client import RecommenderClient

query = typer.Typer(
    name="query", help="Ask a running model server (`movierec serve`).", no_args_is_help=True
)

UserId = Annotated[str, typer.Option(help="A user id; an unknown one gets popular movies.")]
MovieName = Annotated[str, typer.Option("--movie", help="A movie's id or title.")]
K = Annotated[int, typer.Option("-k", min=1, help="How many.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_SHOWN = 10


@dataclass(frozen=True)
class Connection:
    """The options that every query has: where the server is, and which model of it is asked."""

    target: Annotated[str, typer.Option(help="HOST:PORT of the model server.")] = DEFAULT_TARGET
    model_name: Annotated[str, typer.Option(help="The model's name there.")] = DEFAULT_MODEL
    model_version: Annotated[
        int | None, typer.Option(help="A version; the newest if not given.")
    ] = None
    label: Annotated[str | None, typer.Option(help="A version's label, in its place.")] = None
    timeout: Annotated[float, typer.Option(help="Seconds to wait for an answer.")] = DEFAULT_TIMEOUT
    tls_authority: Annotated[
        Path | None, typer.Option(help="PEM of who signed the server's certificate; asks for TLS.")
    ] = None
    tls_key: Annotated[Path | None, typer.Option(help="PEM of this client's key.")] = None
    tls_certificate: Annotated[
        Path | None, typer.Option(help="PEM of this client's certificate.")
    ] = None

    def client(self) -> "RecommenderClient":
        """Connects when it is first asked."""
        # What gRPC logs of a failed handshake is in the error too.
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


def _asks(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose first argument is a client, with the options of its connection instead."""
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
@_asks
def recommend(
    client: "RecommenderClient",
    user: UserId,
    k: K = _SHOWN,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="A movie to leave out; may be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The best movies for a user, without those rated in training."""
    _print_ranking(client.recommend(user, k, exclude or ()), as_json)


@query.command()
@_asks
def rating(
    client: "RecommenderClient",
    user: Annotated[str, typer.Option(help="A user id, known or not.")],
    movie: MovieName,
    as_json: AsJson = False,
) -> None:
    """The rating that a user is predicted to give a movie, in stars."""
    from serving.client.movie_search import find_movie

    found = find_movie(client.catalogue(), movie)
    stars = float(client.predict([user], [found.movie_id])[0])
    if as_json:
        print(json.dumps({"user_id": user, **asdict(found), "rating": stars}, indent=2))
    else:
        print(f"{stars:.2f} stars: user {user}, {found.title or found.movie_id}")


@query.command()
@_asks
def similar(
    client: "RecommenderClient", movie: MovieName, k: K = _SHOWN, as_json: AsJson = False
) -> None:
    """The movies that are most like one; the score is the cosine."""
    from serving.client.movie_search import find_movie

    found = find_movie(client.catalogue(), movie)
    _print_ranking(client.similar(found.movie_id, k), as_json)


@query.command(name="new-user")
@_asks
def new_user(
    client: "RecommenderClient",
    rate: Annotated[
        list[str],
        typer.Option(metavar="MOVIE=STARS", help="An id or title and stars; may be repeated."),
    ],
    k: K = _SHOWN,
    as_json: AsJson = False,
) -> None:
    """The best movies for somebody whom the model does not know, from a few ratings."""
    from serving.client.movie_search import find_movie

    rated = [_rating(text) for text in rate]
    movies = client.catalogue()
    ratings: dict[str, float] = {}
    for text, stars in rated:
        movie = find_movie(movies, text)
        if movie.movie_id in ratings:
            raise UserError(f"--rate {text}={stars:g}: {movie.title or text} is rated twice")
        ratings[movie.movie_id] = stars
    _print_ranking(client.recommend_for_ratings(ratings, k), as_json)


@query.command()
@_asks
def status(client: "RecommenderClient", as_json: AsJson = False) -> None:
    """The versions of the model that the server knows, and their states."""
    found = client.model_status()
    if as_json:
        print(json.dumps([asdict(entry) for entry in found], indent=2))
        return
    from rich.console import Console

    from movierec.cli.answer_tables import show_status

    show_status(Console(), found)


def _rating(text: str) -> tuple[str, float]:
    """What is rated, and the stars; titles may have an equals sign of their own."""
    movie, _, stars = text.rpartition("=")
    try:
        value = float(stars)
    except ValueError:
        value = math.nan
    if not movie or not math.isfinite(value):
        raise UserError(f"--rate {text}: expected ID=STARS or TITLE=STARS, such as 50=4.5")
    return movie.strip(), value


def _print_ranking(found: Sequence["Recommendation"], as_json: bool) -> None:
    if as_json:
        print(json.dumps([asdict(entry) for entry in found], indent=2))
        return
    from rich.console import Console

    from movierec.cli.answer_tables import show_ranking

    show_ranking(Console(), found)
