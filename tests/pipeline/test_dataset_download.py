"""Downloads from a server on this machine that can do what bad networks do."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from pipeline import dataset_download
from pipeline.config.errors import UserError

CONTENT = bytes(range(256)) * 4096
MD5 = hashlib.md5(CONTENT).hexdigest()
NAME = "ml-latest-small"


class Publisher:
    """A server with one archive.

    Attributes:
        checksum: What its `.md5` file says; None if there is none.
        cut_after: Bytes of an answer after which the connection breaks; None for never.
        ranges: Whether it can answer with a part of the file.
        asked: First byte of each answer with the archive.
        name: Name of the archive.
        redirect: Whether `/mirror` redirects to another place.
        location: Place to which it redirects; the same path below `/moved` if empty.
    """

    def __init__(self) -> None:
        self.checksum: str | None = f"MD5 ({NAME}.zip) = {MD5}\n"
        self.cut_after: int | None = None
        self.ranges = True
        self.asked: list[int] = []
        self.url = ""
        self.name = f"{NAME}.zip"
        self.redirect = False
        self.location = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        name = os.path.basename(handler.path)
        if self.redirect and not handler.path.startswith("/moved"):
            handler.send_response(302)
            handler.send_header("Location", self.location or f"/moved{handler.path}")
            handler.end_headers()
        elif name == f"{NAME}.zip.md5" and self.checksum is not None:
            self._send(handler, 200, self.checksum.encode())
        elif name == self.name:
            found = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
            start = int(found[1]) if found and self.ranges else 0
            self.asked.append(start)
            if start >= len(CONTENT):
                self._send(handler, 416, b"")
            else:
                self._send(handler, 206 if start else 200, CONTENT[start:], self.cut_after)
        else:
            self._send(handler, 404, b"")

    def _send(
        self, handler: BaseHTTPRequestHandler, code: int, body: bytes, cut: int | None = None
    ) -> None:
        handler.send_response(code)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[:cut])


@contextmanager
def serving(publisher: Publisher) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            publisher.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    publisher.url = f"http://127.0.0.1:{server.server_port}/mirror"
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    made = Publisher()
    with serving(made):
        yield made


def fetch(publisher: Publisher, folder: Path) -> Path:
    return dataset_download.fetch(NAME, folder, publisher.url, lambda done, total: None)


def test_an_archive_is_fetched_once(publisher: Publisher, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    archive = dataset_download.fetch(
        NAME, tmp_path / "new", publisher.url + "/", lambda *progress: seen.append(progress)
    )
    assert archive.read_bytes() == CONTENT
    assert [path.name for path in archive.parent.iterdir()] == [f"{NAME}.zip"]
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert fetch(publisher, tmp_path / "new") == archive
    assert publisher.asked == [0]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_was_cut_off_continues(
    publisher: Publisher, tmp_path: Path, ranges: bool
) -> None:
    publisher.cut_after, publisher.ranges = 300_000, ranges
    with pytest.raises(UserError, match=r"cut off after 300000 of 1048576 bytes; fetch it again"):
        fetch(publisher, tmp_path)
    publisher.cut_after = None
    assert fetch(publisher, tmp_path).read_bytes() == CONTENT
    assert publisher.asked == [0, 300_000 if ranges else 0]


def test_a_disk_that_is_full_keeps_what_has_come(publisher: Publisher, tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: the system refuses to write beyond it."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, limits[1]))
    try:
        with pytest.raises(UserError, match=r"zip\.part: cannot be written .*; make room"):
            fetch(publisher, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert fetch(publisher, tmp_path).read_bytes() == CONTENT
    assert publisher.asked == [0, 300_000]


def test_two_downloads_of_an_archive_do_not_mix(publisher: Publisher, tmp_path: Path) -> None:
    part = tmp_path / f"{NAME}.zip.part"
    with part.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(UserError, match=r"zip\.part: another process fetches it; wait"):
            fetch(publisher, tmp_path)
        assert publisher.asked == []
        # The other ends: what it wrote has another name now.
        part.rename(tmp_path / f"{NAME}.zip")
        assert fetch(publisher, tmp_path).read_bytes() == CONTENT
        assert other.tell() == 0
    assert [path.name for path in tmp_path.iterdir()] == [f"{NAME}.zip"]


def test_an_answer_without_the_archive_leaves_nothing(publisher: Publisher, tmp_path: Path) -> None:
    publisher.name = "other"
    with pytest.raises(UserError, match="404"):
        fetch(publisher, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_redirect_leads_to_http_alone(publisher: Publisher, tmp_path: Path) -> None:
    publisher.redirect = True
    assert fetch(publisher, tmp_path).read_bytes() == CONTENT
    for address in ("file:///etc/passwd", f"{publisher.url}/{NAME}.zip.md5"):
        publisher.location = address
        with pytest.raises(UserError, match=r"the server answers 302 [^\n]*$"):
            fetch(publisher, tmp_path / "other")


def test_a_whole_part_is_not_fetched_again(publisher: Publisher, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.zip.part").write_bytes(CONTENT)
    assert fetch(publisher, tmp_path).read_bytes() == CONTENT
    assert publisher.asked == [len(CONTENT)]


def test_a_part_of_another_file_is_thrown_away(publisher: Publisher, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.zip.part").write_bytes(b"other")
    with pytest.raises(UserError, match="does not have the published checksum"):
        fetch(publisher, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert fetch(publisher, tmp_path).read_bytes() == CONTENT


def test_an_archive_of_an_older_release_is_replaced(publisher: Publisher, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.zip").write_bytes(b"older")
    assert fetch(publisher, tmp_path).read_bytes() == CONTENT


def test_what_cannot_be_fetched_is_one_line(publisher: Publisher, tmp_path: Path) -> None:
    def refused(name: str, url: str) -> str:
        with pytest.raises(UserError) as caught:
            dataset_download.fetch(name, tmp_path / "to", url, lambda done, total: None)
        message = str(caught.value)
        assert "\n" not in message
        return message

    assert "ml-1m" in refused("ml-2m", publisher.url)
    assert "404" in refused("ml-1m", publisher.url)
    for url in ("file:///etc", "ftp://127.0.0.1/x", "http://", "127.0.0.1/x"):
        assert "expected an address" in refused(NAME, url)
    assert "no address" in refused(NAME, "http://[::1")
    assert "secret" not in refused(NAME, "http://me:secret@127.0.0.1/x")
    for url in ("http://127.0.0.1:x", "http://127.0.0.1/\u00e4", "http://\u00e4..b"):
        assert "cannot be reached" in refused(NAME, url)
    publisher.checksum = "none"
    assert "no MD5 checksum" in refused(NAME, publisher.url)
    # A port on which nothing answers: the one of a server that has ended.
    gone = Publisher()
    with serving(gone):
        pass
    assert "cannot be reached" in refused(NAME, gone.url)
    assert not (tmp_path / "to").exists()
