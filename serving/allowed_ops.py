"""The ops that a served model may hold, checked in its graph before TensorFlow loads it.

A SavedModel is a program. Loading runs its initialisers, and a request runs a signature, with the
rights of the server. An op is allowed if it computes its outputs from its inputs, from the model's
own variables and tables, or from the clock. No allowed op opens a file or a connection, prints, or
calls Python or a compiled program. An op that follows this rule may be added to the list.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError
from tensorflow.core.framework.attr_value_pb2 import AttrValue, NameAttrList
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.core.protobuf import (
    meta_graph_pb2,
    saved_model_pb2,
    saved_object_graph_pb2,
)

from serving.errors import UnreadableModelError

# By kind, from calls and inputs to variables and tables.
_ALLOWED_NAMES: Final = """
Assert Case Const EnsureShape Identity IdentityN If NoOp PartitionedCall Placeholder
PlaceholderWithDefault PreventGradient StatefulPartitionedCall StatelessCase StatelessIf
StatelessWhile StopGradient Timestamp While

Abs Acos Acosh Add AddN AddV2 Asin Asinh Atan Atan2 Atanh BiasAdd Bitcast BitwiseAnd BitwiseOr
BitwiseXor Cast Ceil CheckNumerics CheckNumericsV2 ClipByValue Cos Cosh Digamma Div DivNoNan Elu Erf
Erfc Erfinv Exp Expm1 Floor FloorDiv FloorMod Inv Invert IsFinite IsInf IsNan LeakyRelu LeftShift
Lgamma Log Log1p LogSoftmax Maximum Minimum Mod Mul MulNoNan Ndtri Neg OnesLike Pow RealDiv
Reciprocal Relu Relu6 RightShift Rint Round Rsqrt Selu Sigmoid Sign Sin Sinh Softmax Softplus
Softsign Sqrt Square SquaredDifference Sub Tan Tanh TruncateDiv TruncateMod Xdivy Xlog1py Xlogy
ZerosLike

ApproximateEqual Equal Greater GreaterEqual Less LessEqual LogicalAnd LogicalNot LogicalOr NotEqual
Select SelectV2

All Any ArgMax ArgMin Bincount Bucketize Cumprod Cumsum DenseBincount EuclideanNorm InTopKV2 L2Loss
Max Mean Min Prod SegmentMax SegmentMean SegmentMin SegmentProd SegmentSum Sum TopK TopKV2
UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentProd UnsortedSegmentSum

BatchMatMul BatchMatMulV2 BatchMatMulV3 Cholesky Einsum MatMul MatrixBandPart MatrixDeterminant
MatrixDiagPartV3 MatrixDiagV3 MatrixInverse MatrixSetDiagV3 MatrixSolve MatrixSolveLs
MatrixTriangularSolve Qr SelfAdjointEigV2 Svd

BroadcastArgs BroadcastTo Concat ConcatV2 Diag DiagPart ExpandDims Fill Gather GatherNd GatherV2
InvertPermutation LinSpace ListDiff LowerBound MirrorPad OneHot Pack Pad PadV2 Range Rank Reshape
Reverse ReverseSequence ReverseV2 Roll ScatterNd Shape ShapeN Size Slice Split SplitV Squeeze
StridedSlice TensorScatterAdd TensorScatterMax TensorScatterMin TensorScatterSub TensorScatterUpdate
TensorStridedSliceUpdate Tile Transpose Unique UniqueV2 UniqueWithCounts UniqueWithCountsV2 Unpack
UnravelIndex UpperBound Where

DenseToDenseSetOperation DenseToSparseSetOperation RaggedBincount RaggedGather RaggedRange
RaggedTensorToSparse RaggedTensorToTensor SparseConcat SparseFillEmptyRows SparseReduceMax
SparseReduceSum SparseReorder SparseReshape SparseSegmentMean SparseSegmentMeanWithNumSegments
SparseSegmentSqrtN SparseSegmentSqrtNWithNumSegments SparseSegmentSum
SparseSegmentSumWithNumSegments SparseSlice SparseTensorDenseAdd SparseTensorDenseMatMul
SparseToDense SparseToSparseSetOperation

AsString DecodeBase64 DecodeCSV DecodeJSONExample DecodePaddedRaw DecodeRaw EncodeBase64
ParseExample ParseExampleV2 ParseSingleExample ReduceJoin RegexFullMatch RegexReplace
StaticRegexFullMatch StaticRegexReplace StringFormat StringJoin StringLength StringLower
StringNGrams StringSplit StringSplitV2 StringStrip StringToHashBucket StringToHashBucketFast
StringToHashBucketStrong StringToNumber StringUpper Substr UnicodeDecode UnicodeDecodeWithOffsets
UnicodeEncode UnicodeScript UnicodeTranscode UnsortedSegmentJoin

EmptyTensorList TensorListConcatV2 TensorListElementShape TensorListFromTensor TensorListGather
TensorListGetItem TensorListLength TensorListPopBack TensorListPushBack TensorListReserve
TensorListResize TensorListScatterV2 TensorListSetItem TensorListSplit TensorListStack

StatelessMultinomial StatelessRandomGetAlg StatelessRandomGetKeyCounter
StatelessRandomGetKeyCounterAlg StatelessRandomNormal StatelessRandomNormalV2 StatelessRandomUniform
StatelessRandomUniformInt StatelessRandomUniformIntV2 StatelessRandomUniformV2
StatelessTruncatedNormal StatelessTruncatedNormalV2

AssignAddVariableOp AssignSubVariableOp AssignVariableOp DisableCopyOnRead HashTable HashTableV2
InitializeTable InitializeTableV2 LookupTableExportV2 LookupTableFind LookupTableFindV2
LookupTableImportV2 LookupTableSize LookupTableSizeV2 MutableDenseHashTableV2 MutableHashTableV2
ReadVariableOp ResourceGather ResourceGatherNd VarHandleOp VarIsInitializedOp VariableShape
"""
_ALLOWED: Final = frozenset(_ALLOWED_NAMES.split())
# TensorFlow adds a function that writes the variables, which no server calls, and one that reads
# them, which loading calls. These ops are allowed there and nowhere else.
_SAVE: Final = frozenset({"MergeV2Checkpoints", "SaveV2", "ShardedFilename"})
_RESTORE: Final = frozenset({"RestoreV2"})

# A loader may prefer one of these to the file that is checked.
_OTHER_FORMS: Final = ("saved_model.cpb", "saved_model.pbtxt")

_Functions = Mapping[str, Iterable[NodeDef]]


def check_ops(folder: Path) -> None:
    """Checks every op of a SavedModel, in its graphs and in their function libraries.

    Args:
        folder: Folder of the SavedModel, which is only read.

    Raises:
        UnreadableModelError: The model holds an op that is not allowed, or cannot be read.
    """
    for name in _OTHER_FORMS:
        if (folder / name).exists():
            raise UnreadableModelError(f"{folder}: expected saved_model.pb alone, found {name} too")
    try:
        model = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    except (OSError, DecodeError) as error:
        raise UnreadableModelError(f"{folder}: no readable SavedModel ({error})") from error
    refused = sorted({op for graph in model.meta_graphs for op in _refused(graph)})
    if refused:
        raise UnreadableModelError(
            f"{folder}: the model holds {', '.join(refused)}; expected only ops that compute, and "
            "read or write no files and call no Python (serving/allowed_ops.py lists them)"
        )


def _refused(graph: meta_graph_pb2.MetaGraphDef) -> Iterator[str]:
    """Yields the ops of a graph that are not allowed where they are."""
    functions: dict[str, list[NodeDef]] = {}
    for function in graph.graph_def.library.function:
        # Of two functions of one name, a loader may take either.
        functions.setdefault(function.signature.name, []).extend(function.node_def)
    savers = _savers(graph)
    saver_nodes = [node for node in graph.graph_def.node if node.name in savers]
    called = [_reached([node], functions) for node in saver_nodes]
    roots = [node for node in graph.graph_def.node if node.name not in savers]
    # A function of nobody is checked too.
    free = functions.keys() - set().union(*called)
    free |= functions.keys() & _called_by_loader(graph.object_graph_def)
    roots.extend(_bodies(free, functions))
    served = free | _reached(roots, functions)
    yield from _not_among(_ALLOWED, [*roots, *_bodies(served, functions)])
    for node, names in zip(saver_nodes, called, strict=True):
        nodes = [node, *_bodies(names - served, functions)]
        yield from _not_among(_ALLOWED | savers[node.name], nodes)


def _called_by_loader(objects: saved_object_graph_pb2.SavedObjectGraph) -> set[str]:
    """Returns the names of the functions that Python's loader makes callable."""
    names = set(objects.concrete_functions)
    for node in objects.nodes:
        names.update(node.function.concrete_functions)
        names.add(node.bare_concrete_function.concrete_function_name)
    return names


def _savers(graph: meta_graph_pb2.MetaGraphDef) -> dict[str, frozenset[str]]:
    """Returns what more is allowed to the nodes that save and restore, by the node's name.

    A node whose result is used in any other way is none of them.
    """
    used = {name for node in graph.graph_def.node for name in node.input}
    for signature in graph.signature_def.values():
        used.update(tensor.name for tensor in signature.outputs.values())
    for collection in graph.collection_def.values():
        used.update(collection.node_list.value)
    used = {_node_name(name) for name in used}
    saver = graph.saver_def
    nodes = {
        _node_name(saver.save_tensor_name): _SAVE,
        _node_name(saver.restore_op_name): _RESTORE,
    }
    return {name: ops for name, ops in nodes.items() if name not in used}


def _node_name(tensor: str) -> str:
    """Returns the node of a tensor `node:0` or of a control input `^node`."""
    return tensor.removeprefix("^").partition(":")[0]


def _reached(nodes: Iterable[NodeDef], functions: _Functions) -> set[str]:
    """Returns the names of the functions that nodes call, directly or through others."""
    reached: set[str] = set()
    pending = list(nodes)
    while pending:
        node = pending.pop()
        called = (functions.keys() & _named(node.attr)) - reached
        reached |= called
        pending.extend(_bodies(called, functions))
    return reached


def _named(attributes: Mapping[str, AttrValue]) -> Iterator[str]:
    """Yields the names of functions in the attributes of a node, also of functions' own ones."""
    for value in attributes.values():
        functions: list[NameAttrList] = [*value.list.func]
        if value.HasField("func"):
            functions.append(value.func)
        for function in functions:
            yield function.name
            yield from _named(function.attr)


def _bodies(names: Iterable[str], functions: _Functions) -> Iterator[NodeDef]:
    for name in names:
        yield from functions[name]


def _not_among(allowed: Collection[str], nodes: Iterable[NodeDef]) -> Iterator[str]:
    return (node.op for node in nodes if node.op not in allowed)
