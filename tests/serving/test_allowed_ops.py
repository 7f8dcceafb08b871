"""Models that only compute, and models that do more, before anything is loaded."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
from tensorflow.python.framework import op_def_registry

from models.export import warm_up
from models.registry import MODELS
from serving.allowed_ops import check_ops
from serving.defaults import MAX_MESSAGE_BYTES
from serving.embedded.loaded_version import LoadedVersion
from serving.errors import UnreadableModelError
from tests.models.export.exported_models import CATALOGUE, EXPORTED, signature_names
from tests.serving.hostile_models import HOSTILE, save

# Arguments of an op that name something outside of the graph.
OUTSIDE = re.compile(
    r"file|path|dir$|prefix|address|url|host|server|token|descriptor|output_stream|module|project"
)
# Names of arguments that look like it: a count of the targets to predict.
INSIDE = {"targets"}


def refusal(folder: Path) -> str:
    with pytest.raises(UnreadableModelError) as error:
        check_ops(folder)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


def ops_of(text: str) -> list[str]:
    """The ops that a refusal names."""
    found = re.search(r": the model holds ([\w, ]+); expected ", text)
    assert found, text
    return found[1].split(", ")


@pytest.mark.parametrize("name", EXPORTED)
def test_every_model_of_the_zoo_passes(exported_model: Callable[[str], Path], name: str) -> None:
    check_ops(exported_model(name))


# A rating model with the signatures of intervals, and one without ratings; the others are slow.
WARMED_UP = ("bayesian_mf", "two_tower")


@pytest.mark.parametrize(
    "name",
    [name if name in WARMED_UP else pytest.param(name, marks=pytest.mark.slow) for name in MODELS],
)
def test_every_model_of_the_zoo_is_warmed_up(
    exported_model: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "7"
    shutil.copytree(exported_model(name), folder)
    signatures = signature_names(folder)
    warm_up.write(str(folder), signatures, CATALOGUE)
    version = LoadedVersion(7, folder, MAX_MESSAGE_BYTES)
    assert version.warm_up(folder) == 4 * len(signatures)
    version.close()


@pytest.mark.parametrize("op", HOSTILE)
def test_an_op_that_does_more_than_compute_is_refused(tmp_path: Path, op: str) -> None:
    """In the body of a signature, which is a function that another calls."""
    folder = save(tmp_path / "1795376823", HOSTILE[op])
    text = refusal(folder)
    assert op in ops_of(text)
    assert text.startswith(f"{folder}: ")
    with pytest.raises(UnreadableModelError, match=rf"1795376823: the model holds .*\b{op}\b"):
        LoadedVersion(1795376823, folder, MAX_MESSAGE_BYTES)


def test_it_is_found_in_a_branch_that_is_never_taken(tmp_path: Path) -> None:
    def body(x: tf.Tensor) -> tf.Tensor:
        return tf.cond(tf.constant(False), lambda: tf.io.read_file(x), lambda: x)

    assert ops_of(refusal(save(tmp_path / "1", body))) == ["ReadFile"]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = save(tmp_path_factory.mktemp("sound") / "1", tf.strings.upper)
    check_ops(folder)
    return (folder / "saved_model.pb").read_bytes()


def written(folder: Path, model: saved_model_pb2.SavedModel) -> Path:
    (folder / "saved_model.pb").write_bytes(model.SerializeToString())
    return folder


Change = Callable[[meta_graph_pb2.MetaGraphDef], None]


def function(graph: meta_graph_pb2.MetaGraphDef, part: str):
    (found,) = (f for f in graph.graph_def.library.function if part in f.signature.name)
    return found


def node(graph: meta_graph_pb2.MetaGraphDef, called: str):
    """The node of the top level that calls the function."""
    (found,) = (n for n in graph.graph_def.node if called in n.attr["f"].func.name)
    return found


def in_the_graph(graph: meta_graph_pb2.MetaGraphDef) -> None:
    graph.graph_def.node.add(name="read", op="ReadFile")


def in_a_function_of_nobody(graph: meta_graph_pb2.MetaGraphDef) -> None:
    added = graph.graph_def.library.function.add()
    added.signature.name = "nobody"
    added.node_def.add(name="read", op="ReadFile")


def in_a_function_with_the_name_of_an_op(graph: meta_graph_pb2.MetaGraphDef) -> None:
    graph.graph_def.library.function.add().signature.name = "ReadFile"
    graph.graph_def.node.add(name="read", op="ReadFile")


def in_the_function_that_restores(graph: meta_graph_pb2.MetaGraphDef) -> None:
    function(graph, "traced_restore").node_def.add(name="read", op="ReadFile")


def saved_while_restored(graph: meta_graph_pb2.MetaGraphDef) -> None:
    function(graph, "traced_restore").node_def.add(name="save", op="SaveV2")


def saved_by_a_call_within_the_restore(graph: meta_graph_pb2.MetaGraphDef) -> None:
    call = function(graph, "traced_restore").node_def.add(name="call", op="PartitionedCall")
    call.attr["f"].func.name = function(graph, "traced_save").signature.name


def saved_by_a_signature(graph: meta_graph_pb2.MetaGraphDef) -> None:
    call = graph.graph_def.node.add(name="call", op="StatefulPartitionedCall")
    call.attr["f"].func.name = function(graph, "traced_save").signature.name


def saved_by_an_argument_of_a_function(graph: meta_graph_pb2.MetaGraphDef) -> None:
    call = graph.graph_def.node.add(name="call", op="StatefulPartitionedCall")
    named = call.attr["f"].func
    named.name = function(graph, "traced_restore").signature.name
    named.attr["g"].list.func.add().name = function(graph, "traced_save").signature.name


def saved_for_a_client(graph: meta_graph_pb2.MetaGraphDef) -> None:
    signature = graph.signature_def["serving_default"]
    signature.outputs["y"].name = graph.saver_def.save_tensor_name
    signature.inputs["x"].name = graph.saver_def.filename_tensor_name


def saved_at_the_start(graph: meta_graph_pb2.MetaGraphDef) -> None:
    graph.collection_def["saved_model_main_op"].node_list.value.append(
        graph.saver_def.save_tensor_name.partition(":")[0]
    )


def saved_before_another(graph: meta_graph_pb2.MetaGraphDef) -> None:
    saver = graph.saver_def.save_tensor_name.partition(":")[0]
    node(graph, "signature_wrapper").input.append(f"^{saver}")


def saved_by_a_call_of_the_loader(graph: meta_graph_pb2.MetaGraphDef) -> None:
    name = function(graph, "traced_save").signature.name
    graph.object_graph_def.concrete_functions[name].SetInParent()


def saved_by_a_bare_function_of_the_loader(graph: meta_graph_pb2.MetaGraphDef) -> None:
    bare = graph.object_graph_def.nodes.add().bare_concrete_function
    bare.concrete_function_name = function(graph, "traced_save").signature.name


def saved_by_a_function_of_the_loader(graph: meta_graph_pb2.MetaGraphDef) -> None:
    listed = graph.object_graph_def.nodes.add().function.concrete_functions
    listed.append(function(graph, "traced_save").signature.name)


def in_the_first_of_two_functions_of_a_name(graph: meta_graph_pb2.MetaGraphDef) -> None:
    library = graph.graph_def.library
    sound = meta_graph_pb2.MetaGraphDef.FromString(graph.SerializeToString())
    for each in library.function:
        each.node_def.add(name="read", op="ReadFile")
    library.function.extend(sound.graph_def.library.function)


def in_the_first_of_two_nodes_that_save(graph: meta_graph_pb2.MetaGraphDef) -> None:
    saver = node(graph, "traced_save")
    second = type(saver).FromString(saver.SerializeToString())
    saver.op = "ReadFile"
    graph.graph_def.node.append(second)


PLACES = [
    (saved_by_a_bare_function_of_the_loader, "SaveV2"),
    (saved_by_a_function_of_the_loader, "SaveV2"),
    (in_the_first_of_two_functions_of_a_name, "ReadFile"),
    (in_the_first_of_two_nodes_that_save, "ReadFile"),
    (in_the_graph, "ReadFile"),
    (in_a_function_of_nobody, "ReadFile"),
    (in_a_function_with_the_name_of_an_op, "ReadFile"),
    (in_the_function_that_restores, "ReadFile"),
    (saved_while_restored, "SaveV2"),
    (saved_by_a_call_within_the_restore, "SaveV2"),
    (saved_by_a_signature, "SaveV2"),
    (saved_by_an_argument_of_a_function, "SaveV2"),
    (saved_for_a_client, "SaveV2"),
    (saved_at_the_start, "SaveV2"),
    (saved_before_another, "SaveV2"),
    (saved_by_a_call_of_the_loader, "SaveV2"),
]


@pytest.mark.parametrize("which", [0, 1], ids=["first graph", "second graph"])
@pytest.mark.parametrize(("change", "op"), PLACES)
def test_it_is_found_wherever_it_is(
    tmp_path: Path, sound: bytes, change: Change, op: str, which: int
) -> None:
    model = saved_model_pb2.SavedModel.FromString(sound)
    model.meta_graphs.add().CopyFrom(model.meta_graphs[0])
    check_ops(written(tmp_path, model))
    change(model.meta_graphs[which])
    assert op in ops_of(refusal(written(tmp_path, model)))


def names_something_outside(op: str) -> bool:
    definition = op_def_registry.get(op)
    assert definition is not None
    names = [argument.name for argument in [*definition.input_arg, *definition.attr]]
    return any(OUTSIDE.search(name) and name not in INSIDE for name in names)


def test_no_op_with_an_argument_for_a_file_an_address_or_a_program_is_allowed(
    tmp_path: Path,
) -> None:
    """The arguments are those that TensorFlow itself declares."""
    suspects = [
        op
        for op in dir(tf.raw_ops)
        if op_def_registry.get(op) is not None and names_something_outside(op)
    ]
    assert {"ReadFile", "PyFunc", "PrintV2", "SaveV2"} < set(suspects)
    assert len(suspects) > 80
    for op in suspects:
        model = saved_model_pb2.SavedModel()
        model.meta_graphs.add().graph_def.node.add(name="n", op=op)
        assert ops_of(refusal(written(tmp_path, model))) == [op]


def test_all_are_named(tmp_path: Path) -> None:
    model = saved_model_pb2.SavedModel()
    for op in ("WriteFile", "ReadFile", "WriteFile", "Const", "OfAnotherLibrary"):
        model.meta_graphs.add().graph_def.node.add(name="n", op=op)
    expected = ["OfAnotherLibrary", "ReadFile", "WriteFile"]
    assert ops_of(refusal(written(tmp_path, model))) == expected


@pytest.mark.parametrize("other", ["saved_model.pbtxt", "saved_model.cpb"])
def test_another_form_of_the_graph_is_not_passed_over(
    tmp_path: Path, sound: bytes, other: str
) -> None:
    (tmp_path / "saved_model.pb").write_bytes(sound)
    (tmp_path / other).touch()
    assert f"found {other} too" in refusal(tmp_path)


def test_a_file_that_is_no_graph(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"no graph")
    assert "no readable SavedModel" in refusal(tmp_path)
