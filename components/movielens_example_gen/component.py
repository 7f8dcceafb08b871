"""MovieLensExampleGen, with the driver that notices changes of the data between runs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from tfx.components.example_gen import driver, input_processor, utils
from tfx.components.example_gen.component import FileBasedExampleGen
from tfx.dsl.components.base import executor_spec
from tfx.orchestration import data_types
from tfx.proto import example_gen_pb2, range_config_pb2
from tfx.types import standard_component_specs

from components.movielens_example_gen import executor, golden_set, spans
from components.movielens_example_gen.options import IngestOptions
from models import features


class ContentFingerprintDriver(driver.FileBasedDriver):
    """Fingerprints the content of the files; TFX's own driver takes their modification times."""

    def get_input_processor(
        self,
        splits: Iterable[example_gen_pb2.Input.Split],
        range_config: range_config_pb2.RangeConfig | None = None,
        input_base_uri: str | None = None,
    ) -> input_processor.InputProcessor:
        """Returns a processor that resolves spans as TFX does, and fingerprints by content."""
        return _ContentFingerprintProcessor(input_base_uri, splits, range_config)

    def resolve_exec_properties(
        self,
        exec_properties: dict[str, Any],
        pipeline_info: data_types.PipelineInfo,
        component_info: data_types.ComponentInfo,
    ) -> dict[str, Any]:
        """Resolves the properties as TFX does; the golden set counts as data too."""
        resolved: dict[str, Any] = super().resolve_exec_properties(
            exec_properties, pipeline_info, component_info
        )
        config = json.loads(resolved[standard_component_specs.CUSTOM_CONFIG_KEY])
        golden = IngestOptions.model_validate(config["ingest"]).golden_set
        digest = resolved[utils.FINGERPRINT_PROPERTY_NAME]
        resolved[utils.FINGERPRINT_PROPERTY_NAME] = golden_set.fingerprint(digest, golden)
        return resolved


class _ContentFingerprintProcessor(input_processor.FileBasedInputProcessor):
    def __init__(
        self,
        input_base_uri: str | None,
        splits: Iterable[example_gen_pb2.Input.Split],
        range_config: range_config_pb2.RangeConfig | None,
    ) -> None:
        # TFX looks for the placeholders in the pattern of the split, and finds none there.
        super().__init__(input_base_uri or "", splits)
        self._window = range_config and range_config.rolling_range.num_spans

    def resolve_span_and_version(self) -> tuple[int, int | None]:
        """Returns the newest span; TFX's own method reads paths as globs."""
        newest = self._source.spans[-1]
        return newest.number, newest.version if newest.version >= 0 else None

    def get_input_fingerprint(self, span: int, version: int | None) -> str:
        """Returns the digest of all spans that are read."""
        return self._source.fingerprint()

    @cached_property
    def _source(self) -> spans.Source:
        (split,) = self._splits
        return spans.find(self._input_base_uri, split.name, self._window)


class MovieLensExampleGen(FileBasedExampleGen):
    """Reads an edition of MovieLens, sets bad rows aside, joins the catalogue and splits.

    The output `examples` has the splits train, eval and holdout. Beside them are `ingest.json`,
    the counts, and `rejected.csv`, each rejected row with its reason.
    """

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)
    DRIVER_CLASS = ContentFingerprintDriver

    def __init__(self, input_base: str, options: IngestOptions, code_fingerprint: str) -> None:
        """Constructs the component.

        Args:
            input_base: Folder, zip archive or file of the edition, or a path with placeholders
                for several of them.
            options: Edition, window, dialect, split, and which rows may be rejected.
            code_fingerprint: Digest of this component's code; a change makes the step run again.
        """
        super().__init__(
            input_base=input_base,
            input_config=example_gen_pb2.Input(
                # Which files these are, `spans` knows: a path is no glob.
                splits=[example_gen_pb2.Input.Split(name=options.edition, pattern="*")]
            ),
            range_config=None
            if options.window is None
            else range_config_pb2.RangeConfig(
                rolling_range=range_config_pb2.RollingRange(num_spans=options.window)
            ),
            # Only the names count here: the executor makes the splits itself.
            output_config=example_gen_pb2.Output(
                split_config=example_gen_pb2.SplitConfig(
                    splits=[
                        example_gen_pb2.SplitConfig.Split(name=name, hash_buckets=1)
                        for name in features.SPLITS
                    ]
                )
            ),
            custom_config={
                "ingest": options.model_dump(mode="json"),
                "code_fingerprint": code_fingerprint,
            },
        )
