"""The options of `movierec compile`, and their checks, which import neither TFX nor TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kubeflow import image_files, parameters
from kubeflow.machines import training_resources
from kubeflow.parameters import Parameter
from kubeflow.targets import Target, check_image, check_location, check_name, check_pipeline_root
from kubeflow.training_job import manifest
from pipeline import PIPELINE_NAME, beam_check
from pipeline.config.errors import UserError
from pipeline.config.tree import PipelineConfig, ServingConfig


@dataclass(frozen=True)
class CompileOptions:
    """The platform that runs a compiled pipeline, and the places that it reads and writes.

    Attributes:
        target: Platform that runs the pipeline.
        image: Container image of every step, with a tag or a digest.
        pipeline_root: Folder for everything that the steps write.
        data: Folder of the ratings; None for `data.path`, or for the data set in the image.
        push: Folder of pushed versions; None for a folder below the pipeline root.
        golden_set: Folder of the golden set; None for `gate.golden_set`, or for none.
        name: Name of the pipeline.
    """

    target: Target
    image: str
    pipeline_root: str
    data: str | None = None
    push: str | None = None
    golden_set: str | None = None
    name: str = PIPELINE_NAME

    @property
    def root(self) -> str:
        """The pipeline root without a slash at its end.

        Raises:
            UserError: The platform does not reach the folder.
        """
        return check_pipeline_root(self.pipeline_root, self.target)

    def parameters(self, config: PipelineConfig) -> tuple[Parameter, ...]:
        """Checks all options and returns the parameters of the pipeline with their defaults.

        Args:
            config: Configuration of the pipeline.

        Raises:
            UserError: The platform does not take the image, the name or a folder, or cannot do
                what the configuration asks for.
        """
        check_image(self.image)
        check_name(self.name, self.target)
        training_resources.check(config, self.target)
        _check_binary(config.serving)
        manifest.check_root("--pipeline-root", self.root, config, self.target)
        data = self._data(config)
        beam_check.check_compiled(config.beam, self.image, self.root, data)
        default_push = f"{self.root}/serving/{config.serving.model_name}"
        push = default_push if self.push is None else self.push
        return (
            Parameter(parameters.PIPELINE_ROOT, self.root),
            Parameter(parameters.DATA, data),
            Parameter(parameters.PUSH, self._location("--push", push)),
            Parameter(parameters.EPOCHS, config.training.epochs),
            Parameter(parameters.MAX_RMSE, config.gate.max_rmse),
            Parameter(parameters.ACCEPT_DRIFT, ""),
            *self._golden_set(config),
        )

    def _golden_set(self, config: PipelineConfig) -> tuple[Parameter, ...]:
        """Returns the parameter of the golden set; none without one."""
        if self.golden_set is not None:
            uri = self._location("--golden-set", self.golden_set)
        elif config.gate.golden_set is not None:
            uri = self._location("gate.golden_set", str(config.gate.golden_set))
        else:
            return ()
        return (Parameter(parameters.GOLDEN_SET, uri),)

    def _data(self, config: PipelineConfig) -> str:
        if self.data is not None:
            return self._spans("--data", self.data, config)
        path: Path | None = config.data.path
        if path is not None:
            return self._spans("data.path", str(path), config)
        if config.data.dataset != "ml-100k":
            raise UserError(
                f"--data: not given; data.dataset={config.data.dataset} needs the folder of its "
                f"files"
            )
        return image_files.MOVIELENS_100K

    def _spans(self, option: str, uri: str, config: PipelineConfig) -> str:
        """Checks a place of ratings, in which placeholders stand for spans."""
        config.data.check_window(uri)
        self._location(option, config.data.possible_span(uri))
        return uri.rstrip("/")

    def _location(self, option: str, uri: str) -> str:
        return check_location(option, uri, self.target, self.root)


def _check_binary(serving: ServingConfig) -> None:
    if serving.binary is not None:
        raise UserError(
            f"serving.binary={serving.binary}: the image does not contain files of this machine; "
            f"leave the key out: the step takes tensorflow_model_server from its PATH, or the "
            f"embedded server"
        )
