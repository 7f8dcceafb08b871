import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tfx.dsl.io import fileio
from tfx.utils import io_utils

from kubeflow.steps import object_storage
from pipeline.config.errors import UserError
from tests.kubeflow import s3_server
from tests.kubeflow.s3_server import Bucket

object_storage.register()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with s3_server.serving() as found:
        yield found


@pytest.fixture
def bucket(url: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    return s3_server.new_bucket(url, monkeypatch)


@pytest.fixture(params=["s3", "minio"])
def root(request: pytest.FixtureRequest, bucket: Bucket) -> str:
    return f"{request.param}://{bucket.name}"


def test_what_is_written_is_read(root: str, bucket: Bucket) -> None:
    with fileio.open(f"{root}/a/text.txt", "w") as text:
        text.write("Amélie\nHeat\n")
    block = os.urandom(1 << 16)
    with fileio.open(f"{root}/a/b/block", "wb") as file:
        for _ in range(3):
            file.write(block)
    assert bucket.objects() == {"a/text.txt": "Amélie\nHeat\n".encode(), "a/b/block": block * 3}
    with fileio.open(f"{root}/a/text.txt") as text:
        assert text.readlines() == ["Amélie\n", "Heat\n"]
    with fileio.open(f"{root}/a/b/block", "rb") as file:
        file.seek(1 << 16)
        assert file.read(7) == block[:7]
        assert file.read() == block[7:] + block
    with pytest.raises(ValueError, match="mode 'a'; expected r, rb, w or wb"):
        fileio.open(f"{root}/a/text.txt", "a")


def test_keys_are_files_in_folders(root: str, bucket: Bucket) -> None:
    for key in ("data/u.data", "data/u.item", "data/more/u.user", "data/more/deep/x.data", "top"):
        bucket.put(key, key.encode())
    data = f"{root}/data"
    assert fileio.exists(f"{data}/u.data")
    assert fileio.exists(f"{data}/more/")
    assert not fileio.exists(f"{data}/u")
    assert fileio.isdir(data)
    assert fileio.isdir(root)
    assert not fileio.isdir(f"{data}/u.data")
    assert not fileio.isdir(f"{root}/absent")
    assert fileio.listdir(data) == ["more", "u.data", "u.item"]
    assert fileio.glob(f"{data}/u.*") == [f"{data}/u.data", f"{data}/u.item"]
    assert fileio.glob(f"{root}/*/*/u.use?") == [f"{data}/more/u.user"]
    assert fileio.glob(f"{root}/top") == [f"{root}/top"]
    assert fileio.glob(f"{root}/absent*") == fileio.glob(f"{root}/absent/*") == []
    walked = [
        (data, ["more"], ["u.data", "u.item"]),
        (f"{data}/more", ["deep"], ["u.user"]),
        (f"{data}/more/deep", [], ["x.data"]),
    ]
    assert list(fileio.walk(data)) == walked
    assert list(fileio.walk(data, topdown=False)) == walked[::-1]
    assert list(fileio.walk(f"{root}/absent")) == []
    found = fileio.stat(f"{data}/more/u.user")
    written = bucket.client.head_object(Bucket=bucket.name, Key="data/more/u.user")["LastModified"]
    assert (found.length, found.is_directory) == (len("data/more/u.user"), False)
    assert found.mtime_nsec // 10**9 == int(written.timestamp())
    assert fileio.stat(data).is_directory


def test_folders_are_made_by_what_is_in_them(root: str, bucket: Bucket) -> None:
    """An object for an empty folder would be a file of that name to whoever copies the bucket."""
    fileio.makedirs(f"{root}/a/b")
    fileio.mkdir(f"{root}/a")
    assert bucket.objects() == {}


def test_files_and_folders_are_moved_and_removed(root: str, bucket: Bucket) -> None:
    bucket.put("a/x", b"x")
    bucket.put("a/b/y", b"y")
    fileio.copy(f"{root}/a/x", f"{root}/c/x")
    with pytest.raises(FileExistsError, match="is there already"):
        fileio.copy(f"{root}/a/b/y", f"{root}/c/x")
    fileio.copy(f"{root}/a/b/y", f"{root}/c/x", overwrite=True)
    assert bucket.objects()["c/x"] == b"y"
    with pytest.raises(FileExistsError, match="is there already"):
        fileio.rename(f"{root}/a", f"{root}/c")
    fileio.rename(f"{root}/a", f"{root}/d")
    fileio.rename(f"{root}/c/x", f"{root}/d/z")
    files = {key: content for key, content in bucket.objects().items() if not key.endswith("/")}
    assert files == {"d/x": b"x", "d/b/y": b"y", "d/z": b"y"}
    fileio.remove(f"{root}/d/x")
    assert not fileio.exists(f"{root}/d/x")
    fileio.rmtree(f"{root}/d")
    assert not any(bucket.objects().values())


def test_what_is_not_there_is_not_found(root: str) -> None:
    absent = f"{root}/absent"
    for read in (fileio.open, fileio.listdir, fileio.remove, fileio.rmtree, fileio.stat):
        with pytest.raises(fileio.NotFoundError, match="absent: not found"):
            read(absent)
    for move in (fileio.copy, fileio.rename):
        with pytest.raises(fileio.NotFoundError, match="absent: not found"):
            move(absent, f"{root}/target")


def test_folders_are_copied_between_this_machine_and_the_storage(
    root: str, bucket: Bucket, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    (source / "variables").mkdir(parents=True)
    (source / "saved_model.pb").write_bytes(b"graph")
    (source / "variables" / "variables.index").write_bytes(b"index")
    expected = {"12/saved_model.pb": b"graph", "12/variables/variables.index": b"index"}
    io_utils.copy_dir(str(source), f"{root}/12")
    assert bucket.objects() == expected
    io_utils.copy_dir(f"{root}/12", str(tmp_path / "back"))
    files = [path for path in (tmp_path / "back").rglob("*") if path.is_file()]
    assert {f"12/{path.relative_to(tmp_path / 'back')}": path.read_bytes() for path in files} == (
        expected
    )


def test_a_server_that_is_not_there_is_named_in_one_line(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        with pytest.raises(UserError) as refused:
            fileio.isdir(f"s3://{bucket.name}/serving")
    assert str(refused.value).startswith(f"s3://{bucket.name}/serving: {url}: ")
    assert "expected a storage that AWS_ENDPOINT_URL" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_cannot_be_written_is_said_in_one_line(bucket: Bucket) -> None:
    with (
        pytest.raises(UserError, match=r"s3://absent-bucket/x: .* expected a storage"),
        fileio.open("s3://absent-bucket/x", "wb") as file,
    ):
        file.write(b"x")


def test_a_bucket_that_is_not_there_is_no_empty_folder(url: str, bucket: Bucket) -> None:
    with pytest.raises(UserError) as refused:
        fileio.exists("minio://absent-bucket/serving")
    expected = f"minio://absent-bucket/serving: {url} has no bucket absent-bucket"
    assert str(refused.value) == expected


def test_an_endpoint_is_asked_for_and_checked(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wrong in ("localhost:9000", "ftp://localhost", "http://", "http://localhost/bucket"):
        monkeypatch.setenv("AWS_ENDPOINT_URL", wrong)
        with pytest.raises(UserError, match=f"{wrong}: expected http://HOST:PORT"):
            fileio.exists(f"s3://{bucket.name}/x")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    with pytest.raises(UserError, match="no endpoint is given; expected AWS_ENDPOINT_URL"):
        fileio.exists(f"minio://{bucket.name}/x")
