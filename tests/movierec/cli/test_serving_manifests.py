import subprocess
import sys
from pathlib import Path

import pytest
import yaml

LOCATION = ["--set", "kubernetes.model_location=pvc://claim/serving/movierec"]


def movierec(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "movierec", "serving-manifests", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_it_prints_what_it_writes(tmp_path: Path) -> None:
    printed = movierec(*LOCATION)
    assert printed.returncode == 0
    assert printed.stderr == ""
    kinds = [document["kind"] for document in yaml.safe_load_all(printed.stdout)]
    assert "Deployment" in kinds
    written = movierec(*LOCATION, "-o", str(tmp_path / "deploy"))
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
    result = movierec("--config", str(config), "--set", "kubernetes.namespace=shop")
    documents = list(yaml.safe_load_all(result.stdout))
    (service,) = [d for d in documents if d["kind"] == "InferenceService"]
    assert service["metadata"]["name"] == "movie-rec"
    assert {document["metadata"]["namespace"] for document in documents} == {"shop"}
    (container,) = service["spec"]["predictor"]["containers"]
    assert container["resources"]["limits"]["cpu"] == "4"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "kubernetes.model_location: not set; expected pvc://"),
        (["--set", "kubernetes.model_location=s3://bucket/a"], "take kind kserve"),
        ([*LOCATION, "--set", "kubernetes.replicas=3"], "kubernetes.replicas: no such key"),
        ([*LOCATION, "--set", "kubernetes.kind=helm"], "'deployment' or 'kserve'"),
        ([*LOCATION, "--config", "nowhere.toml"], "nowhere.toml"),
        ([*LOCATION, "--fast"], "--fast"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    folder = tmp_path / "deploy"
    result = movierec(*arguments, "-o", str(folder))
    assert result.returncode == 1
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stdout == ""
    assert not folder.exists()


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys\n"
        f"sys.argv = ['movierec', 'serving-manifests', *{LOCATION!r}]\n"
        "from movierec.cli.app import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    print('#', end.code or 0, [n for n in sys.modules if n in "
        "('tensorflow', 'tfx', 'numpy', 'pyarrow', 'apache_beam', 'grpc')])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == "# 0 []"
