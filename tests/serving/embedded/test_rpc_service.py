"""Errors that no code expects."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from serving.embedded.loaded_version import LoadedVersion
from serving.server_options import ServerOptions
from tests.serving.asking import SECONDS, asking, refused, running
from tests.serving.tiny_models import MODEL, pairs, push


def test_an_unexpected_error_is_in_the_log_and_not_in_the_answer(
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: object) -> None:
        raise FileNotFoundError("/srv/models/secret.txt")

    monkeypatch.setattr(LoadedVersion, "predict", broken)
    push(tiny_model, tmp_path, 1)
    with running(ServerOptions(MODEL, tmp_path, port=0)) as server, asking(server.port) as asked:
        code, text = refused(
            lambda: asked.predictions.Predict(pairs([b"1"], [b"2"]), timeout=SECONDS)
        )
    assert code == grpc.StatusCode.INTERNAL
    assert "secret" not in text
    assert "FileNotFoundError" not in text
    assert "/srv/models/secret.txt" in caplog.text
