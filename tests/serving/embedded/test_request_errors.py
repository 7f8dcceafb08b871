from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import grpc
import pytest
import tensorflow as tf

from serving.embedded.request_errors import RequestError, graph_error, invalid, public_text

# What gRPC leaves as it is in a header.
PLAIN = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")


@pytest.mark.parametrize("text", ["", "x" * 2000, "é" * 333, "🎬" * 166, "%" * 666])
def test_what_a_header_holds_is_told_whole(text: str) -> None:
    assert str(invalid(text)) == text


@pytest.mark.parametrize("character", ["x", "%", "\n", "\x7f", "é", "\ufffd", "🎬"], ids=ascii)
def test_what_is_longer_is_cut(character: str) -> None:
    text = character * 2001
    found = str(RequestError(grpc.StatusCode.NOT_FOUND, text))
    kept = found.removesuffix("…")
    assert found != kept
    assert text.startswith(kept)
    size = len(quote(kept, safe=PLAIN, errors="replace"))
    assert 2000 - len(quote(character, safe=PLAIN, errors="replace")) < size <= 2000


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (tf.errors.InvalidArgumentError, grpc.StatusCode.INVALID_ARGUMENT),
        (tf.errors.ResourceExhaustedError, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (tf.errors.InternalError, grpc.StatusCode.INTERNAL),
    ],
)
def test_the_code_is_tensorflows(error: type[tf.errors.OpError], code: grpc.StatusCode) -> None:
    assert graph_error(error(None, None, "why")).code == code


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("/srv/models/3: no readable SavedModel", "3: no readable SavedModel"),
        ("no file '/srv/models/3/variables' there", "no file 'variables' there"),
        ("(b'/srv/a/b.txt')", "(b'b.txt')"),
        ("path=/srv/a/b;", "path=b;"),
        ("file:///srv/a/b", "b"),
        ("cannot read /usr/lib/x.so: undefined symbol", "cannot read x.so: undefined symbol"),
        # No paths of files.
        ("https://www.tensorflow.org/a/b", "https://www.tensorflow.org/a/b"),
        (
            "/job:localhost/replica:0/task:0/device:CPU:0",
            "/job:localhost/replica:0/task:0/device:CPU:0",
        ),
        ("3/4 of it, model/layer/kernel", "3/4 of it, model/layer/kernel"),
    ],
)
def test_clients_are_not_told_where_files_are(text: str, public: str) -> None:
    assert public_text(text) == public
    assert str(graph_error(tf.errors.NotFoundError(None, None, text))) == public


def test_a_folder_of_versions_whose_name_has_spaces(tmp_path: Path) -> None:
    folder = tmp_path / "my models"
    text = public_text(f"{folder}/3/a.txt: damaged; see {folder.absolute()}/4", folder)
    assert text == "3/a.txt: damaged; see 4"
