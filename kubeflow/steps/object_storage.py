"""Files at s3:// and minio:// for whatever reads and writes through TFX: TensorFlow knows neither.

Endpoint, region and credentials are those of the environment, by the names that all clients of
S3 read: AWS_ENDPOINT_URL or AWS_ENDPOINT_URL_S3, AWS_REGION or AWS_DEFAULT_REGION,
AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what the platform gives the step's account.
"""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from pyarrow import fs
from tfx.dsl.io import filesystem, filesystem_registry

from pipeline.config.errors import UserError
from pipeline.config.locations import OBJECT_STORES

_SEPARATOR: Final = "://"
_ENDPOINT: Final = "AWS_ENDPOINT_URL"
_ENDPOINTS: Final = (f"{_ENDPOINT}_S3", _ENDPOINT)
_REGIONS: Final = ("AWS_REGION", "AWS_DEFAULT_REGION")
# What S3 calls its first region, and other servers theirs.
_USUAL_REGION: Final = "us-east-1"
# TFX asks the file system of the lowest priority; TensorFlow's, which claims s3://, has 10.
_PRIORITY: Final = 0
_WILD: Final = frozenset("*?[")


def register() -> None:
    """Has TFX use this for its schemes from now on."""
    filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY.register(ObjectStorage, priority=_PRIORITY)


@dataclass(frozen=True)
class FileStatistics:
    """What is known of a file or a folder, by TensorFlow's names.

    Attributes:
        length: in bytes.
        mtime_nsec: when it was written, in nanoseconds since 1970; 0 for a folder.
        is_directory: whether it is a folder.
    """

    length: int
    mtime_nsec: int
    is_directory: bool


class ObjectStorage(filesystem.Filesystem):
    """Objects by key as files in folders.

    A folder is there as long as something is in it. A file appears whole, when its writer closes
    it. Nothing is atomic for a folder: it is copied and removed object by object.

    Every method raises
        UserError: the storage cannot be reached, refuses, or lacks the bucket.
        NotFoundError: of TFX, where something is read or removed that is not there.
    """

    SUPPORTED_SCHEMES: ClassVar = [f"{scheme}{_SEPARATOR}" for scheme in OBJECT_STORES]

    @staticmethod
    def open(name: filesystem.PathType, mode: str = "r") -> Any:
        """Returns a file, for "r", "rb", "w" or "wb"; text is UTF-8."""
        place = _Place.of(name)
        if mode in {"r", "rb"}:
            place.require(fs.FileType.File)
            with place.explained():
                source = place.system().open_input_file(place.path)
            file: io.BufferedIOBase = io.BufferedReader(_Stream(source, place))
        elif mode in {"w", "wb"}:
            with place.explained():
                sink = place.system().open_output_stream(place.path)
            file = io.BufferedWriter(_Stream(sink, place))
        else:
            raise ValueError(f"{place.uri}: mode {mode!r}; expected r, rb, w or wb")
        return file if mode.endswith("b") else io.TextIOWrapper(file, encoding="utf-8")

    @staticmethod
    def copy(src: filesystem.PathType, dst: filesystem.PathType, overwrite: bool = False) -> None:
        """Copies a file within the storage.

        Raises:
            OSError: there is a file already that is not to be overwritten.
        """
        source, target = _Place.of(src), _Place.of(dst)
        source.require(fs.FileType.File)
        target.check_free(overwrite)
        with target.explained():
            source.system().copy_file(source.path, target.path)

    @staticmethod
    def exists(path: filesystem.PathType) -> bool:
        """Returns whether there is a file or a folder."""
        return _Place.of(path).info().type is not fs.FileType.NotFound

    @staticmethod
    def glob(pattern: filesystem.PathType) -> list[str]:
        """Returns the files and folders whose path has the pattern, in order."""
        place = _Place.of(pattern)
        parts = place.path.split("/")
        wild = next((n for n, part in enumerate(parts) if _WILD & set(part)), None)
        if wild is None:
            return [place.uri] if ObjectStorage.exists(place.uri) else []
        base = place.at("/".join(parts[:wild]))
        if base.info().type is not fs.FileType.Directory:
            return []
        return [
            place.at(entry.path).uri
            for entry in sorted(base.entries(recursive=True), key=lambda found: found.path)
            if _matches(entry.path.split("/"), parts)
        ]

    @staticmethod
    def isdir(path: filesystem.PathType) -> bool:
        """Returns whether there is a folder."""
        return _Place.of(path).info().type is fs.FileType.Directory

    @staticmethod
    def listdir(path: filesystem.PathType) -> list[str]:
        """Returns the names of what is in a folder, in order."""
        return sorted(entry.base_name for entry in _Place.of(path).entries())

    @staticmethod
    def makedirs(path: filesystem.PathType) -> None:
        """Does nothing but look whether the storage can be reached: there are only files."""
        _Place.of(path).info()

    @staticmethod
    def mkdir(path: filesystem.PathType) -> None:
        """Does what `makedirs` does."""
        ObjectStorage.makedirs(path)

    @staticmethod
    def remove(path: filesystem.PathType) -> None:
        """Removes a file."""
        place = _Place.of(path)
        place.require(fs.FileType.File)
        with place.explained():
            place.system().delete_file(place.path)

    @staticmethod
    def rename(src: filesystem.PathType, dst: filesystem.PathType, overwrite: bool = False) -> None:
        """Copies a file or a folder, and removes it when all of it has been copied.

        Raises:
            OSError: there is something already that is not to be overwritten.
        """
        source, target = _Place.of(src), _Place.of(dst)
        target.check_free(overwrite)
        if source.info().type is not fs.FileType.Directory:
            ObjectStorage.copy(source.uri, target.uri, overwrite)
            ObjectStorage.remove(source.uri)
            return
        for entry in source.entries(recursive=True):
            if entry.type is fs.FileType.File:
                end = entry.path.removeprefix(source.path)
                ObjectStorage.copy(source.at(entry.path).uri, target.uri + end, overwrite)
        ObjectStorage.rmtree(source.uri)

    @staticmethod
    def rmtree(path: filesystem.PathType) -> None:
        """Removes a folder with all that is in it."""
        place = _Place.of(path)
        place.require(fs.FileType.Directory)
        with place.explained():
            place.system().delete_dir(place.path)

    @staticmethod
    def stat(path: filesystem.PathType) -> FileStatistics:
        """Returns what is known of a file or a folder."""
        place = _Place.of(path)
        info = place.info()
        if info.type is fs.FileType.NotFound:
            raise filesystem.NotFoundError(f"{place.uri}: not found")
        return FileStatistics(
            info.size or 0, info.mtime_ns or 0, info.type is fs.FileType.Directory
        )

    @staticmethod
    def walk(
        top: filesystem.PathType,
        topdown: bool = True,
        onerror: Callable[..., None] | None = None,
    ) -> Iterator[tuple[str, list[str], list[str]]]:
        """Every folder with the names of its folders and files, as `os.walk` has them."""
        place = _Place.of(top)
        try:
            entries = sorted(place.entries(), key=lambda entry: entry.base_name)
        except filesystem.NotFoundError as error:
            if onerror is not None:
                onerror(error)
            return
        kinds = (fs.FileType.Directory, fs.FileType.File)
        folders, files = ([e.base_name for e in entries if e.type is kind] for kind in kinds)
        if topdown:
            yield place.uri, folders, files
        for folder in folders:
            yield from ObjectStorage.walk(f"{place.uri}/{folder}", topdown, onerror)
        if not topdown:
            yield place.uri, folders, files


@dataclass(frozen=True)
class _Place:
    """A URI, in parts.

    Attributes:
        scheme: one of `OBJECT_STORES`.
        path: the bucket and the key, without a slash at the end.
    """

    scheme: str
    path: str

    @classmethod
    def of(cls, uri: filesystem.PathType) -> _Place:
        scheme, _, path = os.fsdecode(uri).partition(_SEPARATOR)
        return cls(scheme, path.rstrip("/"))

    @property
    def uri(self) -> str:
        return f"{self.scheme}{_SEPARATOR}{self.path}"

    def at(self, path: str) -> _Place:
        """Another path of the same scheme."""
        return _Place(self.scheme, path)

    def system(self) -> fs.FileSystem:
        """Returns the storage, as the environment describes it."""
        endpoint = _first_of(_ENDPOINTS)
        region = _first_of(_REGIONS)
        if endpoint is not None:
            return _connected(*_endpoint(endpoint), region or _USUAL_REGION)
        if self.scheme == "minio":
            raise UserError(
                f"{self.uri}: no endpoint is given; expected {_ENDPOINT} in the environment of "
                f"the step, where kfp.storage_endpoint=http://minio-service.kubeflow:9000 puts it"
            )
        with self.explained():
            return _connected("https", None, region or _region(self.path.partition("/")[0]))

    def info(self) -> fs.FileInfo:
        """Returns what there is; a bucket that is missing is no answer."""
        system = self.system()
        with self.explained():
            info = system.get_file_info(self.path)
            if info.type is not fs.FileType.NotFound:
                return info
            bucket = self.path.partition("/")[0]
            if system.get_file_info(bucket).type is fs.FileType.NotFound:
                raise UserError(f"{self.uri}: {_storage()} has no bucket {bucket}")
        return info

    def require(self, kind: fs.FileType) -> None:
        """Raises NotFoundError unless that is what there is."""
        if self.info().type is not kind:
            raise filesystem.NotFoundError(f"{self.uri}: not found")

    def entries(self, recursive: bool = False) -> list[fs.FileInfo]:
        """Returns what is in a folder."""
        self.require(fs.FileType.Directory)
        with self.explained():
            listed: list[fs.FileInfo] = self.system().get_file_info(
                fs.FileSelector(self.path, recursive=recursive)
            )
        return listed

    def check_free(self, overwrite: bool) -> None:
        if not overwrite and self.info().type is not fs.FileType.NotFound:
            raise FileExistsError(f"{self.uri}: is there already, and is not to be overwritten")

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Says in one line what the storage has against a request."""
        try:
            yield
        except OSError as error:
            raise UserError(
                f"{self.uri}: {_storage()}: {' '.join(str(error).split())}; expected a storage "
                f"that {_ENDPOINT} and the credentials of the step's environment lead to: see "
                f"kfp.storage_endpoint and kfp.storage_secret"
            ) from error


class _Stream(io.RawIOBase):
    """A file of the storage, whose errors say what to do."""

    def __init__(self, file: Any, place: _Place) -> None:
        super().__init__()
        self._file = file
        self._place = place

    def readable(self) -> bool:
        return bool(self._file.readable())

    def writable(self) -> bool:
        return bool(self._file.writable())

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def readinto(self, buffer: Any) -> int:
        with self._place.explained():
            return int(self._file.readinto(buffer))

    def write(self, data: Any) -> int:
        with self._place.explained():
            return int(self._file.write(data))

    def close(self) -> None:
        if not self.closed:
            try:
                with self._place.explained():
                    self._file.close()
            finally:
                super().close()


def _matches(path: list[str], pattern: list[str]) -> bool:
    return len(path) == len(pattern) and all(map(fnmatchcase, path, pattern))


def _first_of(variables: tuple[str, ...]) -> str | None:
    return next((os.environ[name] for name in variables if os.environ.get(name)), None)


def _storage() -> str:
    return _first_of(_ENDPOINTS) or "Amazon S3"


def _endpoint(url: str) -> tuple[str, str]:
    """Its scheme, and its host with its port.

    Raises:
        UserError: it is no URL of a server.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/"):
        raise UserError(f"{_ENDPOINT}={url}: expected http://HOST:PORT or https://HOST")
    return parts.scheme, parts.netloc


@functools.cache
def _connected(scheme: str, endpoint: str | None, region: str) -> fs.FileSystem:
    return fs.S3FileSystem(scheme=scheme, endpoint_override=endpoint, region=region)


@functools.cache
def _region(bucket: str) -> str:
    return str(fs.resolve_s3_region(bucket))
