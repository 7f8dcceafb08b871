"""Decides whether the data has changed since the last run."""

from __future__ import annotations

import os
from collections.abc import Iterable

from tfx.components.example_gen import driver, input_processor
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2, range_config_pb2

from components.movielens_example_gen.content import fingerprint


class ContentFingerprintDriver(driver.FileBasedDriver):
    """Fingerprints the content of the files; TFX's own takes their modification times."""

    def get_input_processor(
        self,
        splits: Iterable[example_gen_pb2.Input.Split],
        range_config: range_config_pb2.RangeConfig | None = None,
        input_base_uri: str | None = None,
    ) -> input_processor.InputProcessor:
        """The processor that resolves spans as TFX does, and fingerprints by content."""
        return _ContentFingerprintProcessor(input_base_uri, splits, range_config)


class _ContentFingerprintProcessor(input_processor.FileBasedInputProcessor):
    def get_input_fingerprint(self, span: int, version: int | None) -> str:
        paths: list[str] = []
        for split in self._splits:
            pattern = self.get_pattern_for_span_version(split.pattern, span, version)
            paths += sorted(fileio.glob(os.path.join(self._input_base_uri, pattern)))
        return fingerprint(paths)
