"""The MovieLensExampleGen component."""

from __future__ import annotations

from tfx.components.example_gen.component import FileBasedExampleGen
from tfx.dsl.components.base import executor_spec
from tfx.proto import example_gen_pb2

from components.movielens_example_gen import driver, executor
from components.movielens_example_gen.options import IngestOptions
from components.movielens_example_gen.readers import EDITIONS
from models import features


class MovieLensExampleGen(FileBasedExampleGen):
    """Reads an edition of MovieLens, sets bad rows aside, joins the catalogue and splits.

    Output `examples` has the splits train, eval and holdout, and beside them `ingest.json` (the
    counts) and `rejected.csv` (each rejected row and why).
    """

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)
    DRIVER_CLASS = driver.ContentFingerprintDriver

    def __init__(self, input_base: str, options: IngestOptions, code_fingerprint: str) -> None:
        """Constructs the component.

        Args:
            input_base: the folder with the edition's files.
            options: the edition, the split and how many rows may be rejected.
            code_fingerprint: changes when this component's code does, so that a cached result
                of other code is not used.
        """
        super().__init__(
            input_base=input_base,
            input_config=example_gen_pb2.Input(
                splits=[
                    example_gen_pb2.Input.Split(name=name, pattern=name)
                    for name in EDITIONS[options.edition].files
                ]
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
