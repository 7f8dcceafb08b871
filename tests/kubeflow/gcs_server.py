"""Buckets of Google Cloud Storage that are folders, for clients that know no other address.

TensorFlow's client takes Google's own, so this is a proxy that answers in Google's place.
"""

from __future__ import annotations

import base64
import datetime
import json
import re
import ssl
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google_crc32c import Checksum

_HOSTS = ("storage.googleapis.com", "www.googleapis.com")
_OBJECT = re.compile(r"/(?:download/)?storage/v1/b/(?P<bucket>[^/]+)/o/(?P<name>[^/]+)")
_COPY = re.compile(
    _OBJECT.pattern + r"/(?P<how>rewriteTo|copyTo)/b/(?P<to_bucket>[^/]+)/o/(?P<to_name>[^/]+)"
)
_LIST = re.compile(r"/storage/v1/b/(?P<bucket>[^/]+)/o")
_BUCKET = re.compile(r"/storage/v1/b/(?P<bucket>[^/]+)")
_METADATA = "/computeMetadata/v1/"
_LAYOUT = re.compile(_BUCKET.pattern + "/storageLayout")
_UPLOAD = re.compile(r"/(?:resumable/)?upload/storage/v1/b/(?P<bucket>[^/]+)/o")
_MEDIA = re.compile(r"/(?P<bucket>[^/]+)/(?P<name>.+)")
_RANGE = re.compile(r"bytes=(?P<first>\d+)-(?P<last>\d*)")


@contextmanager
def serving(folder: Path, scratch: Path) -> Iterator[dict[str, str]]:
    """Yields the variables by which clients find the buckets.

    Args:
        folder: buckets are its folders.
        scratch: for the certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = _certificate(scratch)
    context.load_cert_chain(certificate)
    state = {"folder": folder, "context": context, "uploads": {}, "parts": {}, "folders": set()}
    handler = type("Handler", (_Handler,), state)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"127.0.0.1:{server.server_port}"
    try:
        yield {
            **dict.fromkeys(("https_proxy", "HTTPS_PROXY"), f"http://{address}"),
            **dict.fromkeys(("CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"), str(certificate)),
            **dict.fromkeys(("GCE_METADATA_HOST", "GCE_METADATA_ROOT", "GCE_METADATA_IP"), address),
            "no_proxy": "localhost,127.0.0.1",
        }
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _certificate(folder: Path) -> Path:
    """Returns the file of a certificate for Google's hosts, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "stand-in")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.SubjectAlternativeName(map(x509.DNSName, _HOSTS)), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "gcs.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


class _Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    folder: Path
    context: ssl.SSLContext
    uploads: dict[str, str]
    parts: dict[str, bytes]
    folders: set[str]

    def do_CONNECT(self) -> None:
        """Takes Google's place for what follows on the connection."""
        self.send_response(200)
        self.end_headers()
        self.connection = self.context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb")
        self.close_connection = False

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        if url.path.startswith(_METADATA) or url.path == "/":
            self._tell(url.path.removeprefix(_METADATA))
        elif found := _LIST.fullmatch(url.path):
            self._json(self._listed(found["bucket"], query))
        elif found := _BUCKET.fullmatch(url.path):
            self._json({"name": found["bucket"], "location": "EU"})
        elif _LAYOUT.fullmatch(url.path):
            self._json({"location": "EU", "hierarchicalNamespace": {"enabled": False}})
        elif found := _OBJECT.fullmatch(url.path) or _MEDIA.fullmatch(url.path):
            address = f"{found['bucket']}/{unquote(found['name'])}"
            if not self._is_there(address):
                self._missing()
            elif found.re is _MEDIA or query.get("alt") == "media":
                self._content(address)
            else:
                self._json(self._resource(address))
        else:
            self._missing()

    def _tell(self, path: str) -> None:
        """Answers as the server that a machine of Google's has for its credentials."""
        account: dict[str, Any] = {"email": "me@example.com", "scopes": [], "aliases": []}
        if path.endswith("/token"):
            account = {"access_token": "t", "expires_in": 3600, "token_type": "Bearer"}
        content = b"project" if path == "project/project-id" else json.dumps(account).encode()
        told = {"Metadata-Flavor": "Google", "Content-Type": "application/json"}
        self._answer(404 if path.startswith("universe") else 200, content, told)

    def do_POST(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        body = self._body()
        if found := _COPY.fullmatch(url.path):
            code, content = self._copied(found)
            self._json(content, code)
        elif url.path == "/batch/storage/v1":
            self._batch(body)
        elif found := _UPLOAD.fullmatch(url.path):
            kind = query["uploadType"]
            if kind == "multipart":
                about, media = _parts(self._head() + body)
                query["name"] = json.loads(about.get_payload())["name"]
                body = media.get_payload(decode=True)
            elif kind == "resumable" and "name" not in query:
                query["name"] = json.loads(body)["name"]
            address = f"{found['bucket']}/{query['name']}"
            if kind == "resumable":
                upload = uuid.uuid4().hex
                self.uploads[upload] = address
                back = f"https://{_HOSTS[1]}{url.path}?uploadType=resumable&upload_id={upload}"
                self._answer(200, b"", {"Location": back})
            else:
                self._write(address, body)
                self._json(self._resource(address))
        else:
            self._missing()

    def do_PUT(self) -> None:
        (upload,), body = parse_qs(urlsplit(self.path).query)["upload_id"], self._body()
        told = self.headers.get("Content-Range", f"bytes 0-/{len(body)}")
        total = told.rpartition("/")[2]
        self.parts[upload] = self.parts.get(upload, b"") + body
        size = len(self.parts[upload])
        if total == "*" or size < int(total):
            self._answer(308, b"", {"Range": f"bytes=0-{size - 1}"} if size else {})
            return
        self._write(self.uploads[upload], self.parts.pop(upload))
        self._json(self._resource(self.uploads[upload]))

    def do_DELETE(self) -> None:
        self._answer(self._deleted(urlsplit(self.path).path), b"")

    def log_message(self, *_: Any) -> None:
        """Says nothing."""

    def _is_there(self, address: str) -> bool:
        # TensorFlow makes an empty object of a folder, by a name that ends in a slash.
        return address in self.folders or (
            not address.endswith("/") and (self.folder / address).is_file()
        )

    def _write(self, address: str, content: bytes) -> None:
        if address.endswith("/"):
            self.folders.add(address)
            return
        path = self.folder / address
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def _read(self, address: str) -> bytes:
        return b"" if address in self.folders else (self.folder / address).read_bytes()

    def _resource(self, address: str) -> dict[str, Any]:
        bucket, _, name = address.partition("/")
        path = self.folder / address
        status = None if address in self.folders else path.stat()
        seconds, generation = (status.st_mtime, status.st_mtime_ns) if status else (0.0, 1)
        written = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
        return {
            "kind": "storage#object",
            "bucket": bucket,
            "name": name,
            "size": str(status.st_size if status else 0),
            "crc32c": base64.b64encode(Checksum(self._read(address)).digest()).decode(),
            "generation": str(generation),
            "metageneration": "1",
            "updated": written.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "timeCreated": written.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }

    def _listed(self, bucket: str, query: dict[str, str]) -> dict[str, Any]:
        """Returns the objects whose names begin so, and the prefixes of those further down."""
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        top = self.folder / bucket
        files = {path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file()}
        own = {name.removeprefix(f"{bucket}/") for name in self.folders if name.startswith(bucket)}
        items, prefixes = [], set()
        for name in sorted(name for name in files | own if name.startswith(prefix)):
            rest = name.removeprefix(prefix)
            if delimiter and delimiter in rest:
                prefixes.add(prefix + rest.partition(delimiter)[0] + delimiter)
            else:
                items.append(self._resource(f"{bucket}/{name}"))
        listed = {"kind": "storage#objects", "items": items, "prefixes": sorted(prefixes)}
        return {key: value for key, value in listed.items() if value}

    def _copied(self, found: re.Match[str]) -> tuple[int, dict[str, Any]]:
        source = f"{found['bucket']}/{unquote(found['name'])}"
        target = f"{found['to_bucket']}/{unquote(found['to_name'])}"
        if not self._is_there(source):
            return 404, {"error": {"code": 404, "message": "not found"}}
        self._write(target, self._read(source))
        resource = self._resource(target)
        size = resource["size"]
        whole = {"done": True, "objectSize": size, "totalBytesRewritten": size}
        return 200, resource if found["how"] == "copyTo" else {**whole, "resource": resource}

    def _deleted(self, path: str) -> int:
        found = _OBJECT.fullmatch(path)
        address = f"{found['bucket']}/{unquote(found['name'])}" if found else ""
        if not self._is_there(address):
            return 404
        if address in self.folders:
            self.folders.discard(address)
            return 204
        (self.folder / address).unlink()
        # A bucket has no folders that are empty.
        for folder in (self.folder / address).parents:
            if folder.parent == self.folder or any(folder.iterdir()):
                break
            folder.rmdir()
        return 204

    def _batch(self, body: bytes) -> None:
        answers = []
        for part in _parts(self._head() + body):
            method, address, _ = part.get_payload().split(None, 2)
            path = urlsplit(address).path
            code, content = 404, {}
            if method == "DELETE":
                code = self._deleted(path)
            elif copy := _COPY.fullmatch(path):
                code, content = self._copied(copy)
            answers.append(
                "--batch\r\nContent-Type: application/http\r\n"
                f"Content-ID: {part['Content-ID']}\r\n\r\n"
                f"HTTP/1.1 {code} X\r\nContent-Type: application/json\r\n\r\n"
                f"{json.dumps(content)}\r\n"
            )
        text = "".join(answers) + "--batch--"
        self._answer(200, text.encode(), {"Content-Type": "multipart/mixed; boundary=batch"})

    def _head(self) -> bytes:
        return f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()

    def _content(self, address: str) -> None:
        content = self._read(address)
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        if asked is None:
            self._answer(200, content)
            return
        first = int(asked["first"])
        if first >= len(content):
            self._answer(416, b"")
            return
        part = content[first : int(asked["last"]) + 1 if asked["last"] else None]
        told = f"bytes {first}-{first + len(part) - 1}/{len(content)}"
        self._answer(206, part, {"Content-Range": told})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _json(self, content: dict[str, Any], code: int = 200) -> None:
        self._answer(code, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _missing(self) -> None:
        self._answer(404, b'{"error": {"code": 404, "message": "not found"}}')

    def _answer(self, code: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()


def _parts(message: bytes) -> list[Message]:
    parts = BytesParser().parsebytes(message).get_payload()
    return [part for part in parts if isinstance(part, Message)]
