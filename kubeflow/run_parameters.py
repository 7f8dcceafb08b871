"""Values of parameters that replace those of a compiled job for one run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, TypeAdapter, ValidationError

from kubeflow.local_execution import job_file
from kubeflow.local_execution.job import Job
from kubeflow.local_execution.values import Value
from kubeflow.parameters import ACCEPT_DRIFT, EPOCHS, MAX_RMSE, PIPELINE_ROOT, PUSH
from kubeflow.targets import SCHEMES, Target, remote_folders
from pipeline import accepted_drift
from pipeline.config.cluster import TrainingConfig
from pipeline.config.errors import UserError
from pipeline.config.expectations import expectation
from pipeline.config.tree import GateConfig

# The section and key of the configuration that a parameter comes from.
_KEYS: Final[dict[str, tuple[type[BaseModel], str]]] = {
    EPOCHS: (TrainingConfig, "epochs"),
    MAX_RMSE: (GateConfig, "max_rmse"),
}
_ROOTS: Final = ("/", *(f"{scheme}://" for scheme in SCHEMES))


def changed(job: Job, given: Mapping[str, str]) -> dict[str, Value]:
    """Returns the values of parameters that replace those of the file.

    A push folder below the pipeline root moves with it, unless it is given too. A run that writes
    elsewhere thus does not push to the folder that production serves from.

    Args:
        job: Compiled job with the parameters.
        given: Texts of the new values by name.

    Raises:
        UserError: There is no such parameter, it does not take the value, or one has no value.
    """
    values = job_file.with_parameters(job, given)
    replaced = {name: values[name] for name in given}
    for name in given:
        _check(name, given[name], replaced[name])
    if PIPELINE_ROOT in replaced and PUSH not in replaced and PUSH in job.parameters:
        replaced |= _moved_push(job, replaced[PIPELINE_ROOT])
    return replaced


def _check(name: str, text: str, value: Value) -> None:
    """Checks that the configuration takes the value too."""
    if name == PIPELINE_ROOT and not text.startswith(_ROOTS):
        raise UserError(
            f"--parameter {name}={text}: expected {remote_folders(Target.KFP)}, or "
            f"/A/FOLDER with run-compiled"
        )
    if name == ACCEPT_DRIFT:
        accepted_drift.parse(f"--parameter {name}", [text])
    if name not in _KEYS:
        return
    section, key = _KEYS[name]
    field = section.model_fields[key]
    kind: Any = Annotated[(field.annotation, *field.metadata)]
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise UserError(f"--parameter {name}={text}: {expectation(error)}") from error


def _moved_push(job: Job, root: str) -> dict[str, Value]:
    """Returns the push folder below another root; nothing if it is not below the file's root."""
    compiled = job.parameters.get(PIPELINE_ROOT) or job.pipeline_root
    push = str(job.parameters[PUSH])
    if compiled is None or not push.startswith(f"{compiled.rstrip('/')}/"):
        return {}
    return {PUSH: root.rstrip("/") + push.removeprefix(compiled.rstrip("/"))}
