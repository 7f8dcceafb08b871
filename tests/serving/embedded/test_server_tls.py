"""Clients that certificates admit, and clients that they do not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
import trustme

from models import features
from serving.defaults import LOOPBACK
from serving.embedded.server import ModelServer
from serving.server_options import ServerOptions
from serving.tls import ClientTls, ServerTls
from tests.serving import tiny_models
from tests.serving.asking import SECONDS, asking, refused, running
from tests.serving.tiny_models import MODEL, pairs, rating


class Authority:
    """Makes certificates, as files."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._made = trustme.CA()
        self.certificate = folder / "authority.pem"
        self._made.cert_pem.write_to_path(self.certificate)

    def issue(self, name: str) -> tuple[Path, Path]:
        """The private key and the certificate of a server or client of this name."""
        issued = self._made.issue_cert(name)
        key, chain = self._folder / f"{name}.key", self._folder / f"{name}.pem"
        issued.private_key_pem.write_to_path(key)
        chain.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        return key, chain


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "theirs")


@pytest.fixture(scope="module")
def base_path(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    tiny_models.push(tiny_model, folder, 1)
    return folder


@pytest.fixture(scope="module")
def tls_server(ours: Authority, base_path: Path) -> Iterator[ModelServer]:
    tls = ServerTls(*ours.issue(LOOPBACK))
    with running(ServerOptions(MODEL, base_path, port=0, tls=tls)) as server:
        yield server


@pytest.fixture(scope="module")
def mutual_server(ours: Authority, base_path: Path) -> Iterator[ModelServer]:
    tls = ServerTls(*ours.issue(LOOPBACK), client_authority=ours.certificate)
    with running(ServerOptions(MODEL, base_path, port=0, tls=tls)) as server:
        yield server


def answered(server: ModelServer, tls: ClientTls) -> None:
    with asking(server.port, tls.credentials()) as asked:
        answer = asked.predictions.Predict(pairs([b"abc"], [b"de"]), timeout=SECONDS)
    found = tf.make_ndarray(answer.outputs[features.RATING])
    np.testing.assert_array_equal(found, rating([b"abc"], [b"de"]), strict=True)


def turned_away(server: ModelServer, tls: ClientTls | None) -> None:
    with asking(server.port, tls and tls.credentials()) as asked:
        code, _ = refused(
            lambda: asked.predictions.Predict(pairs([b"abc"], [b"de"]), timeout=SECONDS)
        )
    assert code == grpc.StatusCode.UNAVAILABLE


def test_who_trusts_the_authority_is_answered(tls_server: ModelServer, ours: Authority) -> None:
    answered(tls_server, ClientTls(ours.certificate))


def test_who_trusts_another_authority_does_not_ask(
    tls_server: ModelServer, ours: Authority, theirs: Authority
) -> None:
    turned_away(tls_server, ClientTls(theirs.certificate))
    answered(tls_server, ClientTls(ours.certificate))


def test_in_the_clear_nothing_is_answered(tls_server: ModelServer, ours: Authority) -> None:
    turned_away(tls_server, None)
    answered(tls_server, ClientTls(ours.certificate))


def test_a_client_of_ours_is_let_in(mutual_server: ModelServer, ours: Authority) -> None:
    answered(mutual_server, ClientTls(ours.certificate, *ours.issue("client")))


def test_a_client_without_a_certificate_is_refused(
    mutual_server: ModelServer, ours: Authority
) -> None:
    turned_away(mutual_server, ClientTls(ours.certificate))
    test_a_client_of_ours_is_let_in(mutual_server, ours)


def test_a_client_of_another_authority_is_refused(
    mutual_server: ModelServer, ours: Authority, theirs: Authority
) -> None:
    turned_away(mutual_server, ClientTls(ours.certificate, *theirs.issue("client")))
    test_a_client_of_ours_is_let_in(mutual_server, ours)


def test_a_certificate_for_another_name_is_not_trusted(ours: Authority, base_path: Path) -> None:
    tls = ServerTls(*ours.issue("elsewhere.example"))
    with running(ServerOptions(MODEL, base_path, port=0, tls=tls)) as server:
        turned_away(server, ClientTls(ours.certificate))
