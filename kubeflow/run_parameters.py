"""What a run of a compiled job is given in place of what its file says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, TypeAdapter, ValidationError

from kubeflow.local_execution import job_file
from kubeflow.local_execution.job import Job
from kubeflow.local_execution.values import Value
from kubeflow.parameters import EPOCHS, MAX_RMSE, PIPELINE_ROOT, PUSH
from kubeflow.targets import SCHEMES, Target, remote_folders
from pipeline.config.cluster import TrainingConfig
from pipeline.config.errors import UserError
from pipeline.config.tree import GateConfig

# The key of the configuration that each of these was compiled from.
_KEYS: Final[dict[str, tuple[type[BaseModel], str]]] = {
    EPOCHS: (TrainingConfig, "epochs"),
    MAX_RMSE: (GateConfig, "max_rmse"),
}
_ROOTS: Final = ("/", *(f"{scheme}://" for scheme in SCHEMES))


def changed(job: Job, given: Mapping[str, str]) -> dict[str, Value]:
    """The values of parameters that take the place of the file's.

    The push folder moves with the pipeline root that it is in, unless it is given itself: a run
    that is to write elsewhere must not push to where others are served from.

    Args:
        job: whose parameters.
        given: their texts by name.

    Raises:
        UserError: there is no such parameter, it takes no such value, or one has no value.
    """
    values = job_file.with_parameters(job, given)
    found = {name: values[name] for name in given}
    for name in given:
        _check(name, given[name], found[name])
    if PIPELINE_ROOT in found and PUSH not in found and PUSH in job.parameters:
        found |= _moved_push(job, found[PIPELINE_ROOT])
    return found


def _check(name: str, text: str, value: Value) -> None:
    """Whether the configuration takes the value, too."""
    if name == PIPELINE_ROOT and not text.startswith(_ROOTS):
        raise UserError(
            f"--parameter {name}={text}: expected {remote_folders(Target.KFP)}, or with "
            f"run-compiled /A/FOLDER"
        )
    if name not in _KEYS:
        return
    section, key = _KEYS[name]
    field = section.model_fields[key]
    kind: Any = Annotated[(field.annotation, *field.metadata)]
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise UserError(f"--parameter {name}={text}: {problem[0].lower()}{problem[1:]}") from error


def _moved_push(job: Job, root: str) -> dict[str, Value]:
    """The push folder below another root; nothing if it is not below the file's."""
    compiled = job.parameters.get(PIPELINE_ROOT) or job.pipeline_root
    push = str(job.parameters[PUSH])
    if compiled is None or not push.startswith(f"{compiled.rstrip('/')}/"):
        return {}
    return {PUSH: root.rstrip("/") + push.removeprefix(compiled.rstrip("/"))}
