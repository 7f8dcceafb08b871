"""What is to be compiled, and where it is to run. Nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kubeflow import installed, parameters
from kubeflow.compiling import training_machines
from kubeflow.parameters import Parameter
from kubeflow.targets import Target, check_image, check_location, check_name, check_pipeline_root
from kubeflow.training_job import manifest
from pipeline import PIPELINE_NAME, beam_check
from pipeline.config.errors import UserError
from pipeline.config.tree import PipelineConfig, ServingConfig


@dataclass(frozen=True)
class Order:
    """What a platform is to run.

    Attributes:
        target: the platform.
        image: of every step, with a tag or a digest.
        pipeline_root: the folder for what the steps write.
        data: the folder of the ratings; None for `data.path`, or what the image has installed.
        push: the folder of pushed versions; None for one below the pipeline root.
        name: the pipeline's.
    """

    target: Target
    image: str
    pipeline_root: str
    data: str | None = None
    push: str | None = None
    name: str = PIPELINE_NAME

    @property
    def root(self) -> str:
        """The pipeline root without a slash at its end.

        Raises:
            UserError: the platform does not reach it.
        """
        return check_pipeline_root(self.pipeline_root, self.target)

    def parameters(self, config: PipelineConfig) -> tuple[Parameter, ...]:
        """The pipeline's inputs with their values.

        Raises:
            UserError: the platform does not take the image, the name or a location, or cannot
                work as the configuration asks.
        """
        check_image(self.image)
        check_name(self.name, self.target)
        training_machines.check(config, self.target)
        _check_binary(config.serving)
        manifest.check_root("--pipeline-root", self.root, config, self.target)
        data = self._data(config)
        beam_check.check_compiled(config.beam, self.image, self.root, data)
        usual_push = f"{self.root}/serving/{config.serving.model_name}"
        push = usual_push if self.push is None else self.push
        return (
            Parameter(parameters.PIPELINE_ROOT, self.root),
            Parameter(parameters.DATA, data),
            Parameter(parameters.PUSH, self._location("--push", push)),
            Parameter(parameters.EPOCHS, config.training.epochs),
            Parameter(parameters.MAX_RMSE, config.gate.max_rmse),
        )

    def _data(self, config: PipelineConfig) -> str:
        if self.data is not None:
            return self._location("--data", self.data)
        own: Path | None = config.data.path
        if own is not None:
            return self._location("data.path", str(own))
        if config.data.dataset != "ml-100k":
            raise UserError(
                f"--data: not given; data.dataset={config.data.dataset} needs the folder of its "
                f"files"
            )
        return installed.MOVIELENS_100K

    def _location(self, option: str, uri: str) -> str:
        return check_location(option, uri, self.target, self.root)


def _check_binary(serving: ServingConfig) -> None:
    if serving.binary is not None:
        raise UserError(
            f"serving.binary={serving.binary}: a file of this machine is not in the image; leave "
            f"it out: the step takes the tensorflow_model_server on its PATH, or ours"
        )
