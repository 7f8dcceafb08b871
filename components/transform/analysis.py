"""Analyses examples as TensorFlow Transform does, in one process and without Beam.

TensorFlow Transform traces a preprocessing function, has Beam compute the results of its analyzers,
and traces the function again with these results in their place. Both traces here are TensorFlow
Transform's own. Between them, this process adds up whole batches.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform import (
    analyzer_nodes,
    analyzers,
    annotators,
    graph_tools,
    impl_helper,
    nodes,
)
from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io, schema_utils
from tfx.dsl.io import fileio

from components.record_batches import read_records

PreprocessingFn = Callable[[dict[str, Any]], dict[str, Any]]
"""A function from raw features to transformed ones, with analyzers of TensorFlow Transform."""

_Batch = Sequence[np.ndarray[Any, Any]]
_Reader = Callable[[tf.Tensor], list[tuple[tf.Tensor, ...]]]

_TEXT: Final = tf.string.name
_BY_FREQUENCY: Final = analyzers._VocabOrderingType.FREQUENCY
_VALUE: Final = "value"
_COUNT: Final = "count"
# Counts of batches that wait to be added up: enough that adding up does not count.
_WAITING_COUNTS: Final = 1 << 20


class UnsupportedAnalyzerError(Exception):
    """A preprocessing function has an analyzer that only Beam computes."""


class Analysis:
    """The analyzers of a preprocessing function over batches of examples."""

    def __init__(
        self, preprocessing_fn: PreprocessingFn, schema: schema_pb2.Schema, temporary: str
    ) -> None:
        """Traces the function.

        Args:
            preprocessing_fn: Function of TensorFlow Transform.
            schema: Schema of the raw examples.
            temporary: Folder for temporary files, on the file system of the graph.

        Raises:
            UnsupportedAnalyzerError: An analyzer is of a kind that only Beam computes, or needs
                the result of another one.
        """
        self._preprocessing_fn = preprocessing_fn
        self._schema = schema
        self._temporary = temporary
        spec = schema_utils.schema_as_feature_spec(schema).feature_spec
        self._input_types = impl_helper.get_type_specs_from_feature_specs(spec)
        graph, inputs, _ = impl_helper.trace_preprocessing_function(
            preprocessing_fn, self._input_types, use_tf_compat_v1=False, base_temp_dir=temporary
        )
        self._assets = annotators.get_asset_annotations(graph)
        annotators.clear_asset_annotations(graph)
        self._fingerprint = graph_tools.get_analyzers_fingerprint(graph, inputs)
        sinks = graph.get_collection(analyzer_nodes.TENSOR_REPLACEMENTS)
        visitor = _ResultsVisitor(temporary)
        traverser = nodes.Traverser(visitor)
        self._results = [(sink.tensor, traverser.visit_value_node(sink.future)) for sink in sinks]
        self._accumulators = visitor.accumulators
        self._read = _reader(graph, inputs, spec, [one.tensors for one in self._accumulators])

    def add(self, files: Sequence[str]) -> None:
        """Adds the examples of gzipped TFRecords to the analyzers.

        Args:
            files: Paths of the files.
        """
        if not self._accumulators:
            return
        for records in read_records(files):
            batches = self._read(records)
            for accumulator, batch in zip(self._accumulators, batches, strict=True):
                accumulator.add([values.numpy() for values in batch])

    def write(self, folder: str) -> None:
        """Writes the graph, the vocabularies and the schemas as TensorFlow Transform does.

        Args:
            folder: Folder of the transform graph.
        """
        saved_model = os.path.join(self._temporary, tft.TFTransformOutput.TRANSFORM_FN_DIR)
        impl_helper.trace_and_write_v2_saved_model(
            saved_model,
            self._preprocessing_fn,
            self._input_types,
            base_temp_dir=self._temporary,
            baseline_analyzers_fingerprint=self._fingerprint,
            tensor_replacement_map={
                tensor.name: tf.constant(result(), tensor.dtype) for tensor, result in self._results
            },
            output_keys_to_name_map={},
            save_options=None,
        )
        fileio.makedirs(folder)
        metadata = os.path.join(folder, tft.TFTransformOutput.TRANSFORMED_METADATA_DIR)
        fileio.rename(os.path.join(saved_model, impl_helper.METADATA_DIR_NAME), metadata)
        if self._assets:
            with fileio.open(os.path.join(metadata, tft.TFTransformOutput.ASSET_MAP), "w") as file:
                file.write(json.dumps(self._assets))
        fileio.rename(saved_model, os.path.join(folder, tft.TFTransformOutput.TRANSFORM_FN_DIR))
        metadata_io.write_metadata(
            dataset_metadata.DatasetMetadata(self._schema),
            os.path.join(folder, tft.TFTransformOutput.RAW_METADATA_DIR),
        )


class _Accumulator(Protocol):
    """What an analyzer keeps of the batches that it has seen."""

    tensors: tuple[tf.Tensor, ...]

    def add(self, batch: _Batch) -> None:
        """Adds the values of the tensors in a batch of examples."""


_A = TypeVar("_A", bound=_Accumulator)


class _Combination:
    """The accumulator of one of TensorFlow Transform's combiners."""

    def __init__(self, tensors: tuple[tf.Tensor, ...], combiner: analyzer_nodes.Combiner) -> None:
        self.tensors = tensors
        self._combiner = combiner
        self._accumulator = combiner.create_accumulator()

    def add(self, batch: _Batch) -> None:
        self._accumulator = self._combiner.add_input(self._accumulator, batch)

    def output(self, index: int) -> Any:
        """Returns one of the combiner's outputs."""
        return self._combiner.extract_output(self._accumulator)[index]


class _Counts:
    """How often each text occurs."""

    def __init__(self, tensors: tuple[tf.Tensor, ...]) -> None:
        self.tensors = tensors
        self._total = _counts_of(pa.array([], pa.large_binary()))
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0

    def add(self, batch: _Batch) -> None:
        (texts,) = batch
        counts = _counts_of(pa.array(texts, pa.large_binary()))
        self._waiting.append(counts)
        self._waiting_rows += counts.num_rows
        # The work stays in proportion to the rows, also where most texts are new.
        if self._waiting_rows > max(_WAITING_COUNTS, self._total.num_rows):
            self.total()

    def total(self) -> pa.Table:
        """Returns a row for each text, most frequent first, then in descending order of bytes."""
        if self._waiting:
            counts = pa.concat_tables([self._total, *self._waiting])
            self._waiting, self._waiting_rows = [], 0
            self._total = (
                counts.group_by(_VALUE, use_threads=False)
                .aggregate([(_COUNT, "sum")])
                .select([_VALUE, f"{_COUNT}_sum"])
                .rename_columns([_VALUE, _COUNT])
                .sort_by([(_COUNT, "descending"), (_VALUE, "descending")])
            )
        return self._total


def _counts_of(texts: pa.Array) -> pa.Table:
    counts = texts.value_counts()
    return pa.table({_VALUE: counts.field("values"), _COUNT: counts.field("counts")})


class _Vocabulary:
    """The most frequent texts."""

    def __init__(self, counts: _Counts, min_count: float = 0, top_k: int | None = None) -> None:
        self._counts = counts
        self._min_count = min_count
        self._top_k = top_k

    def pruned(self, min_count: float, top_k: int | None) -> _Vocabulary:
        """Returns the vocabulary without rare texts, and without those after the first `top_k`."""
        return _Vocabulary(self._counts, min_count, top_k)

    def size(self) -> int:
        """Returns the number of lines of the vocabulary's file."""
        return max(1, self._rows().num_rows)

    def write(self, path: str, with_counts: bool) -> str:
        """Writes the vocabulary, a text on each line, and returns the path.

        Args:
            path: File to write.
            with_counts: Whether a line starts with the text's count.
        """
        rows = self._rows()
        lines = list(zip(rows[_COUNT].to_pylist(), rows[_VALUE].to_pylist(), strict=True))
        with fileio.open(path, "wb") as file:
            # TensorFlow reads no table from an empty file.
            for count, text in lines or [analyzers.get_empy_vocabulary_dummy_value(_TEXT)]:
                file.write(b"%d %s\n" % (count, text) if with_counts else text + b"\n")
        return path

    def _rows(self) -> pa.Table:
        return self._counts.total().filter(pc.field(_COUNT) >= self._min_count)[: self._top_k]


class _ResultsVisitor(nodes.Visitor):
    """Makes a function of each analyzer that returns its result once all batches were added."""

    def __init__(self, folder: str) -> None:
        """Starts without accumulators.

        Args:
            folder: Folder of the vocabularies.
        """
        self.accumulators: list[_Accumulator] = []
        self._folder = folder

    def visit(self, operation: nodes.OperationDef, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Returns the outputs of an operation, from those of the operations before it.

        Raises:
            UnsupportedAnalyzerError: The operation is of another kind than those below.
        """
        outputs: tuple[Any, ...]
        match operation:
            case analyzer_nodes.TensorSource():
                outputs = (operation.tensors,)
            case analyzer_nodes.CacheableCombineAccumulate():
                (tensors,) = inputs
                outputs = (self._added(_Combination(tensors, operation.combiner)),)
            case analyzer_nodes.CacheableCombineMerge() | analyzer_nodes.VocabularyMerge():
                # There is one accumulator, which has seen all batches.
                outputs = inputs
            case analyzer_nodes.ExtractCombineMergeOutputs():
                (combination,) = inputs
                outputs = tuple(
                    partial(combination.output, index) for index in range(operation.num_outputs)
                )
            case analyzer_nodes.VocabularyAccumulate() if _counts_texts(operation):
                (tensors,) = inputs
                outputs = (_Vocabulary(self._added(_Counts(tensors))),)
            case analyzer_nodes.VocabularyPrune(key_fn=None):
                (vocabulary,) = inputs
                outputs = (vocabulary.pruned(operation.frequency_threshold, operation.top_k),)
            case analyzer_nodes.VocabularyCount():
                (vocabulary,) = inputs
                outputs = (vocabulary.size,)
            case analyzer_nodes.VocabularyOrderAndWrite(
                fingerprint_shuffle=False, file_format="text"
            ) if len(inputs) == 1:
                (vocabulary,) = inputs
                path = os.path.join(self._folder, operation.vocab_filename)
                outputs = (partial(vocabulary.write, path, operation.store_frequency),)
            case _:
                raise UnsupportedAnalyzerError(f"{operation.label}: only Beam computes it")
        return outputs

    def validate_value(self, value: object) -> None:
        """Accepts every value."""

    def _added(self, accumulator: _A) -> _A:
        self.accumulators.append(accumulator)
        return accumulator


def _counts_texts(operation: analyzer_nodes.VocabularyAccumulate) -> bool:
    return operation.vocab_ordering_type == _BY_FREQUENCY and operation.input_dtype == _TEXT


def _reader(
    graph: tf.Graph,
    inputs: dict[str, Any],
    spec: dict[str, Any],
    fetches: list[tuple[tf.Tensor, ...]],
) -> _Reader:
    """Returns a function from records to the tensors that analyzers add up.

    Args:
        graph: Graph of the preprocessing function.
        inputs: Placeholders of the raw features.
        spec: How the features are parsed.
        fetches: Tensors of the graph that the function returns.

    Raises:
        UnsupportedAnalyzerError: A tensor depends on more than the raw features.
    """
    operations = _ancestors([tensor.op for tensors in fetches for tensor in tensors])
    _check_sources(graph, inputs, operations)
    whole = graph.as_graph_def()
    part = tf.compat.v1.GraphDef(versions=whole.versions, library=whole.library)
    names = {operation.name for operation in operations}
    part.node.extend(node for node in whole.node if node.name in names)
    placeholders = {
        name: _parts(tensor)
        for name, tensor in inputs.items()
        if operations.intersection(part.op for part in _parts(tensor))
    }

    def read(records: tf.Tensor) -> list[tuple[tf.Tensor, ...]]:
        features = tf.io.parse_example(records, {name: spec[name] for name in placeholders})
        feeds = {
            placeholder.name: tensor
            for name, parts in placeholders.items()
            for placeholder, tensor in zip(parts, _parts(features[name]), strict=True)
            if placeholder.op in operations
        }
        read: list[tuple[tf.Tensor, ...]] = tf.nest.pack_sequence_as(
            fetches,
            tf.graph_util.import_graph_def(
                part, feeds, [tensor.name for tensors in fetches for tensor in tensors]
            ),
        )
        return read

    signature = [tf.TensorSpec([None], tf.string)]
    reader: _Reader = tf.function(read, input_signature=signature, autograph=False)
    return reader


def _ancestors(operations: Iterable[tf.Operation]) -> set[tf.Operation]:
    """Returns operations and all others that they depend on."""
    found: set[tf.Operation] = set()
    waiting = list(operations)
    while waiting:
        operation = waiting.pop()
        if operation not in found:
            found.add(operation)
            waiting += [tensor.op for tensor in operation.inputs]
            waiting += operation.control_inputs
    return found


def _check_sources(graph: tf.Graph, inputs: dict[str, Any], operations: set[tf.Operation]) -> None:
    """Checks that operations depend on raw features alone.

    Raises:
        UnsupportedAnalyzerError: They depend on the result of an analyzer, or on a table or a
            variable from outside of the graph.
    """
    for sink in graph.get_collection(analyzer_nodes.ALL_REPLACEMENTS):
        if sink.tensor.op in operations:
            raise UnsupportedAnalyzerError(
                f"an analyzer depends on another one, {sink.tensor.name}"
            )
    features = {part.op for tensor in inputs.values() for part in _parts(tensor)}
    for operation in operations - features:
        if operation.type == "Placeholder":
            raise UnsupportedAnalyzerError(f"an analyzer depends on {operation.name}")


def _parts(tensor: Any) -> list[tf.Tensor]:
    """Returns the tensors that a sparse or ragged tensor consists of."""
    parts: list[tf.Tensor] = tf.nest.flatten(tensor, expand_composites=True)
    return parts
