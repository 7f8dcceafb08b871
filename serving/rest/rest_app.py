"""The web application of the REST API: its paths, its errors and its description."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from http import HTTPStatus
from pathlib import Path as FilePath
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Path, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException

from serving.rest.bounds import ANSWER, BoundedRequests, Bounds
from serving.rest.description import METADATA, NOT_OFFERED, PREDICT, STATUS, SUMMARY, TITLE
from serving.rest.grpc_model import GrpcModel, ModelAddress
from serving.rest.rest_errors import RestError, bad_request, error_response
from serving.web_security import GuardedPages

_LOG: Final = logging.getLogger(__name__)
_FOLDER: Final = FilePath(__file__).parent
_ROOT: Final = "/v1/"
_MAX_VERSION: Final = 2**63 - 1

_Name = Annotated[str, Path(description="Name of the model.", examples=["movierec"])]
_Version = Annotated[int, Path(ge=0, le=_MAX_VERSION, description="Number of the version.")]
_Label = Annotated[str, Path(description="Label of the version.")]


def rest_app(model: GrpcModel, threads: Executor, bounds: Bounds, own_host: str | None) -> FastAPI:
    """Returns the application.

    Args:
        model: Model server to ask.
        threads: Threads in which it is asked.
        bounds: Bounds on the requests.
        own_host: Name or address that the server listens at, if requests to other host names are
            refused; None answers to every name.
    """
    app = FastAPI(
        title=TITLE,
        description=SUMMARY,
        version="v1",
        docs_url=None,
        redoc_url=None,
        # A path with a slash too many is malformed, as in TensorFlow Serving.
        redirect_slashes=False,
    )
    app.add_middleware(BoundedRequests, bounds=bounds)
    app.add_middleware(GuardedPages, host=own_host, refusal=_refusal)
    for part, address in (
        ("", _newest),
        ("/versions/{version}", _numbered),
        ("/labels/{label}", _labelled),
    ):
        _add_paths(app, f"/v1/models/{{name}}{part}", address, model, threads)
    _add_page(app)
    # The description is kept from here on, since no path is added any more.
    _leave_out_validation_errors(app)
    app.exception_handler(RestError)(_refused)
    app.exception_handler(RequestValidationError)(_malformed)
    app.exception_handler(HTTPException)(_unknown)
    app.exception_handler(Exception)(_failed)
    return app


def _newest(name: _Name) -> ModelAddress:
    return _checked(ModelAddress(name))


def _numbered(name: _Name, version: _Version) -> ModelAddress:
    return _checked(ModelAddress(name, version=version))


def _labelled(name: _Name, label: _Label) -> ModelAddress:
    return _checked(ModelAddress(name, label=label))


def _checked(address: ModelAddress) -> ModelAddress:
    # A path with an unknown method, such as `movierec:guess`, looks like a name.
    for part in (address.name, address.label or ""):
        if ":" in part:
            raise bad_request(f"Malformed request: {part!r} names no model, label or method")
    return address


def _add_paths(
    app: FastAPI,
    root: str,
    address: Callable[..., ModelAddress],
    model: GrpcModel,
    threads: Executor,
) -> None:
    """Adds the paths below one way to name a model."""

    async def in_thread(ask: Callable[..., bytes], *arguments: Any) -> Response:
        loop = asyncio.get_running_loop()
        content = await loop.run_in_executor(threads, ask, *arguments)
        return Response(content, media_type="application/json")

    named = Depends(address)

    @app.get(root, response_class=JSONResponse, **STATUS)
    async def status(spec: ModelAddress = named) -> Response:
        return await in_thread(model.status, spec)

    @app.get(f"{root}/metadata", response_class=JSONResponse, **METADATA)
    async def metadata(spec: ModelAddress = named) -> Response:
        return await in_thread(model.metadata, spec)

    @app.post(f"{root}:predict", response_class=JSONResponse, **PREDICT)
    async def predict(request: Request, spec: ModelAddress = named) -> Response:
        return await in_thread(
            model.predict, spec, await request.body(), request.scope[ANSWER].hold
        )

    for method in ("classify", "regress"):

        @app.post(f"{root}:{method}", response_class=JSONResponse, **NOT_OFFERED)
        async def not_offered(request: Request, _: ModelAddress = named) -> Response:
            given = request.url.path.rpartition(":")[2]
            raise RestError(
                HTTPStatus.NOT_IMPLEMENTED,
                f"{given} is not offered: the models have no signatures for it; use predict",
            )


def _leave_out_validation_errors(app: FastAPI) -> None:
    """Takes FastAPI's own code 422 out of the description: such requests are answered 400."""
    for methods in app.openapi()["paths"].values():
        for operation in methods.values():
            operation["responses"].pop(str(int(HTTPStatus.UNPROCESSABLE_ENTITY)), None)


def _add_page(app: FastAPI) -> None:
    """Adds the page that describes the API, which needs no script."""
    app.mount("/static", StaticFiles(directory=_FOLDER / "static"))
    template = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("docs.html")

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        return HTMLResponse(template.render(api=app.openapi(), address=str(request.base_url)))

    @app.get("/", include_in_schema=False)
    async def root() -> RedirectResponse:
        return RedirectResponse("/docs")


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RestError)
    return error_response(error)


async def _malformed(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return error_response(bad_request(f"{first['loc'][-1]}: {first['msg'].lower()}"))


async def _unknown(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    if path.startswith(_ROOT):
        # TensorFlow Serving's answer to what fits none of its paths, also for a wrong method.
        return error_response(bad_request(f"Malformed request: {request.method} {path}"))
    return error_response(RestError(error.status_code, f"{path}: no such path; see /docs"))


async def _failed(request: Request, error: Exception) -> Response:
    _LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
    text = "the REST API failed; the log of the server says why"
    return error_response(RestError(HTTPStatus.INTERNAL_SERVER_ERROR, text))


def _refusal(status: int, text: str) -> Response:
    return error_response(RestError(status, text))
