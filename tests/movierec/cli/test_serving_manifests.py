import subprocess
from pathlib import Path

import pytest
import yaml

from serving.version_pin import PIN_FILE, Pin
from tests.movierec.cli.command import assert_refused, imported_by, movierec

LOCATION = ["--set", "kubernetes.model_location=pvc://claim/serving/movierec"]


def manifests(*arguments: str) -> subprocess.CompletedProcess[str]:
    return movierec("serving-manifests", *arguments)


def test_it_prints_what_it_writes(tmp_path: Path) -> None:
    printed = manifests(*LOCATION)
    assert printed.returncode == 0
    assert printed.stderr == ""
    kinds = [document["kind"] for document in yaml.safe_load_all(printed.stdout)]
    assert "Deployment" in kinds
    written = manifests(*LOCATION, "-o", str(tmp_path / "deploy"))
    path = tmp_path / "deploy" / "serving.yaml"
    assert written.stdout == f"{path}\n"
    assert path.read_text(encoding="utf-8") == printed.stdout


def test_file_and_overrides_are_read(tmp_path: Path) -> None:
    config = tmp_path / "cluster.toml"
    config.write_text(
        '[serving]\nmodel_name = "Movie_Rec"\n'
        '[kubernetes]\nkind = "kserve"\nmodel_location = "s3://bucket/movies"\n'
        "cpu_limit = 4\n"
        'allowed_pods = {app = "storefront"}\n',
        encoding="utf-8",
    )
    result = manifests("--config", str(config), "--set", "kubernetes.namespace=shop")
    documents = list(yaml.safe_load_all(result.stdout))
    (service,) = [d for d in documents if d["kind"] == "InferenceService"]
    assert service["metadata"]["name"] == "movie-rec"
    assert {document["metadata"]["namespace"] for document in documents} == {"shop"}
    (container,) = service["spec"]["predictor"]["containers"]
    assert container["resources"]["limits"]["cpu"] == "4"


@pytest.mark.parametrize(("more", "served"), [([], 7), (["kubernetes.model_version=9"], 9)])
def test_the_pinned_version_of_a_workspace_is_served(
    tmp_path: Path, more: list[str], served: int
) -> None:
    folder = tmp_path / "serving" / "movierec"
    folder.mkdir(parents=True)
    (folder / PIN_FILE).write_text(Pin(version=7).model_dump_json())
    options = [part for setting in more for part in ("--set", setting)]
    result = manifests(*LOCATION, "--workspace", str(tmp_path), *options)
    documents = yaml.safe_load_all(result.stdout)
    (files,) = [document["data"] for document in documents if document["kind"] == "ConfigMap"]
    assert f"versions: {served}" in files["models.config"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "kubernetes.model_location: "),
        (["--set", "kubernetes.model_location=s3://bucket/a"], "kserve"),
        ([*LOCATION, "--set", "kubernetes.replicas=3"], "kubernetes.replicas: "),
        ([*LOCATION, "--set", "kubernetes.kind=helm"], "kubernetes.kind"),
        ([*LOCATION, "--config", "nowhere.toml"], "nowhere.toml"),
        ([*LOCATION, "--fast"], "--fast"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    folder = tmp_path / "deploy"
    assert_refused(manifests(*arguments, "-o", str(folder)), message)
    assert not folder.exists()


def test_nothing_heavy_is_imported() -> None:
    code, modules = imported_by("serving-manifests", *LOCATION)
    assert code == 0
    assert not {"tensorflow", "tfx", "numpy", "pyarrow", "apache_beam", "grpc"} & modules
