import pytest

from pipeline.config.object_stores import is_stored


@pytest.mark.parametrize("uri", ["s3://bucket/a", "minio://bucket"])
def test_what_clients_of_s3_read(uri: str) -> None:
    assert is_stored(uri)


@pytest.mark.parametrize("uri", ["gs://bucket/s3://a", "/s3/bucket", "s3", "s3:/bucket", "s3a://b"])
def test_what_others_read(uri: str) -> None:
    assert not is_stored(uri)
