import os
from pathlib import Path, PurePosixPath

import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from serving import tensorflow_serving_config
from serving.errors import ServingError
from serving.server_options import BatchingOptions, ServerOptions
from serving.tls import ServerTls
from tests.serving.serving_protos import BatchingParameters, MonitoringConfig, SSLConfig

OPTIONS = ServerOptions("films", Path("unused"))
BASE = PurePosixPath("/models/films")
# Quotes, backslashes, ends of lines and letters beyond ASCII must come through.
KEY, CERTIFICATE, AUTHORITY = 'key "\\"\n', "certificate\n\tÄé\n", "authority\r\n"


@pytest.fixture
def tls(tmp_path: Path) -> ServerTls:
    paths = []
    for name, text in (("key", KEY), ("certificate", CERTIFICATE), ("authority", AUTHORITY)):
        paths.append(tmp_path / f"{name}.pem")
        paths[-1].write_bytes(text.encode())
    return ServerTls(*paths)


def models(
    options: ServerOptions, base: PurePosixPath = BASE
) -> model_server_config_pb2.ModelConfig:
    text = tensorflow_serving_config.model_config(
        options.model_name, str(base), labels=options.version_labels
    )
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    return model


def test_one_model_of_which_the_newest_version_is_served() -> None:
    model = models(OPTIONS, PurePosixPath('/mo"dels/Käse'))
    assert (model.name, model.base_path) == ("films", '/mo"dels/Käse')
    assert model.model_platform == "tensorflow"
    assert model.model_version_policy.latest.num_versions == 1
    assert not model.version_labels


def test_labels_come_with_every_version() -> None:
    labels = {"stable": 3, "canary": 1_795_376_823}
    model = models(ServerOptions("films", Path("unused"), version_labels=labels))
    assert dict(model.version_labels) == labels
    assert model.model_version_policy.WhichOneof("policy_choice") == "all"


def test_a_fixed_version_comes_with_the_labels_of_earlier_ones() -> None:
    """The newest of all answers requests without a version."""
    text = tensorflow_serving_config.model_config(
        "films", "/models", version=5, labels={"stable": 3, "same": 5, "canary": 9}
    )
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    assert list(model.model_version_policy.specific.versions) == [3, 5]
    assert dict(model.version_labels) == {"stable": 3, "same": 5}


def test_tls_holds_what_is_in_the_files(tls: ServerTls) -> None:
    config = text_format.Parse(tensorflow_serving_config.ssl_config(tls), SSLConfig())
    assert config == SSLConfig(
        server_key=KEY, server_cert=CERTIFICATE, custom_ca=AUTHORITY, client_verify=True
    )


def test_without_an_authority_no_client_is_verified(tls: ServerTls) -> None:
    one_sided = ServerTls(tls.private_key, tls.certificate)
    config = text_format.Parse(tensorflow_serving_config.ssl_config(one_sided), SSLConfig())
    assert config == SSLConfig(server_key=KEY, server_cert=CERTIFICATE)


def test_a_pem_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    absent = tmp_path / "absent.pem"
    with pytest.raises(ServingError, match=f"{absent}: No such file or directory"):
        tensorflow_serving_config.ssl_config(ServerTls(absent, absent))


def test_a_pem_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    binary = tmp_path / "binary.pem"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(ServingError, match=f"{binary}: not text"):
        tensorflow_serving_config.ssl_config(ServerTls(binary, binary))


def test_the_metrics_are_where_the_embedded_server_has_them() -> None:
    config = text_format.Parse(tensorflow_serving_config.monitoring_config(), MonitoringConfig())
    assert config.prometheus_config.enable
    assert config.prometheus_config.path == "/metrics"


def test_batches_are_as_those_of_the_embedded_server() -> None:
    asked = BatchingOptions(max_batch_size=64, timeout_micros=500, max_enqueued_batches=7)
    text = tensorflow_serving_config.batching_parameters(asked)
    parameters = text_format.Parse(text, BatchingParameters())
    assert parameters.max_batch_size.value == 64
    assert parameters.batch_timeout_micros.value == 500
    assert parameters.max_enqueued_batches.value == 7
    assert parameters.num_batch_threads.value == os.cpu_count()


def test_only_what_is_asked_for_is_written(tmp_path: Path, tls: ServerTls) -> None:
    plain, all_of_it = tmp_path / "plain", tmp_path / "all"
    plain.mkdir()
    all_of_it.mkdir()
    written = tensorflow_serving_config.write_files(plain, OPTIONS, BASE)
    assert set(written) == {"model_config_file"}
    options = ServerOptions(
        "films", Path("unused"), tls=tls, metrics_port=0, batching=BatchingOptions()
    )
    written = tensorflow_serving_config.write_files(all_of_it, options, BASE)
    assert set(written) == {
        "model_config_file",
        "ssl_config_file",
        "monitoring_config_file",
        "batching_parameters_file",
    }
    assert {path.name for path in all_of_it.iterdir()} == set(written.values())
