import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module", ["models", "models.training.trainer", "models.export.signatures"]
)
def test_models_can_be_used_without_an_orchestrator(module: str) -> None:
    """The scope in which a notebook imports them: TFX's own packages stay out."""
    code = (
        f"import sys, {module}; "
        "print([name for name in sys.modules if name.split('.')[0] in "
        "('tfx', 'pipeline', 'components', 'serving', 'kubeflow', 'ml_metadata')])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_options_come_without_tensorflow() -> None:
    code = "import sys, pipeline.config.tree; print('tensorflow' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"
