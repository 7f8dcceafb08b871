"""Where the outputs of a run are."""

from __future__ import annotations

from pathlib import Path

import pytest
from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from movierec.report.material import exported_model
from pipeline import PIPELINE_NAME, metadata
from pipeline.workspace import Workspace
from tests.pipeline.summaries import summary

RUN = "2024-01-01"


@pytest.mark.parametrize("root", ["", "{here}/", "/artifacts/old/place/"])
def test_a_model_is_in_the_workspace_wherever_that_was(tmp_path: Path, root: str) -> None:
    """Steps whose Beam works on other machines have recorded absolute paths."""
    store = MetadataStore(metadata.connection(tmp_path / "metadata.db"))
    run, node = (
        mlmd.Context(type_id=store.put_context_type(mlmd.ContextType(name=kind)), name=name)
        for kind, name in (("pipeline_run", RUN), ("node", f"{PIPELINE_NAME}.Trainer"))
    )
    uri = f"{root.format(here=tmp_path)}artifacts/Trainer/model/3"
    kind = store.put_artifact_type(mlmd.ArtifactType(name="Model"))
    event = mlmd.Event(type=mlmd.Event.OUTPUT)
    event.path.steps.add(key="model")
    store.put_execution(
        mlmd.Execution(type_id=store.put_execution_type(mlmd.ExecutionType(name="Trainer"))),
        [(mlmd.Artifact(type_id=kind, uri=uri), event)],
        [run, node],
    )
    found = exported_model(Workspace(tmp_path), summary(run_id=RUN))
    assert found == tmp_path / "artifacts" / "Trainer" / "model" / "3" / "Format-Serving"
