"""The golden set in ExampleGen: kept from every split, read like the data, part of its content."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tensorflow as tf
from tfx.dsl.components.base import base_beam_executor
from tfx.orchestration import data_types
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_artifacts, standard_component_specs
from tfx.utils import proto_utils

from components import data_fingerprint, ratings
from components.errors import DataError
from components.movielens_example_gen import executor, golden_set, report
from components.movielens_example_gen.component import ContentFingerprintDriver
from components.movielens_example_gen.options import IngestOptions, SplitOptions
from models import features
from pipeline import row_bounds
from pipeline.config.beam import EXAMPLE_GEN, BeamConfig


@pytest.fixture
def data(csv_folder: Path) -> Path:
    """300 ratings by 100 users, 3 of each, from 1 to 5."""
    with (csv_folder / "ratings.csv").open("w") as file:
        file.write("userId,movieId,rating,timestamp\n")
        file.writelines(
            f"{u},{m},{1 + (u + m) % 5},{100 + u}\n" for u in range(100) for m in (1, 2, 3)
        )
    return csv_folder


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    """Movie 1 by the first 40 users in another form, a movie of nobody, and a bad row."""
    folder = tmp_path / "golden"
    folder.mkdir()
    rows = [f"{user};1;2.5" for user in range(40)]
    (folder / "trusted.csv").write_text("\n".join(["user;item;stars", *rows, "7;99;5", "7;;4"]))
    return folder


def run(data: Path, golden: Path | None, folder: Path) -> standard_artifacts.Examples:
    examples = standard_artifacts.Examples()
    examples.uri = str(folder)
    context = base_beam_executor.BaseBeamExecutor.Context(
        beam_pipeline_args=BeamConfig().arguments_for(EXAMPLE_GEN, None),
        tmp_dir=str(folder / "unused"),
        unique_id="1",
    )
    executor.Executor(context).Do(
        {}, {standard_component_specs.EXAMPLES_KEY: [examples]}, properties(data, golden)
    )
    return examples


def properties(data: Path, golden: Path | None) -> dict[str, str]:
    options = IngestOptions(
        edition="csv",
        split=SplitOptions(),
        max_rejected_fraction=0.1,
        bounds=row_bounds.read(),
        golden_set=None if golden is None else str(golden),
    )
    return {
        standard_component_specs.INPUT_BASE_KEY: str(data),
        standard_component_specs.CUSTOM_CONFIG_KEY: json.dumps(
            {"ingest": options.model_dump(mode="json")}
        ),
    }


def pairs(examples: standard_artifacts.Examples, split: str) -> set[tuple[bytes, bytes]]:
    columns = ratings.read(examples.uri, split)
    return set(zip(columns["user_id"], columns["movie_id"], strict=True))


def test_no_split_has_a_pair_of_the_golden_set(data: Path, golden: Path, tmp_path: Path) -> None:
    before = run(data, None, tmp_path / "before")
    after = run(data, golden, tmp_path / "after")
    trusted = {(str(user).encode(), b"1") for user in range(40)}
    for split in features.SPLITS:
        assert pairs(after, split) == pairs(before, split) - trusted
    assert pairs(after, features.GOLDEN) == {*trusted, (b"7", b"99")}
    assert set(ratings.read(after.uri, features.GOLDEN)["rating"]) == {2.5, 5.0}
    # No step that takes all splits takes this one.
    assert artifact_utils.decode_split_names(after.split_names) == list(features.SPLITS)
    counted = report.read(after.uri)
    assert (counted.read, counted.withheld, counted.golden) == (300, 40, 41)
    assert sum(counted.splits.values()) == 260
    assert not golden_set.exists(before.uri)
    assert not tf.io.gfile.exists(golden_set.folder(before.uri))


def test_a_golden_set_of_everything_leaves_nothing_to_train_on(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gate\.golden_set: it has all ratings of the train"):
        run(data, data, tmp_path / "out")


def test_a_golden_set_that_cannot_be_read_is_named(data: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(
        DataError, match=r"^gate\.golden_set: .*empty.*; expected the ratings of one"
    ):
        run(data, empty, tmp_path / "out")
    for content in ("", "userId,movieId,rating\n", "userId,movieId,rating\n1,1,good\n1,2,bad\n"):
        (empty / "ratings.csv").write_text(content)
        with pytest.raises(DataError, match=r"^gate\.golden_set: "):
            run(data, empty, tmp_path / "out")


def test_a_golden_set_of_two_editions_is_refused_with_what_can_be_done(tmp_path: Path) -> None:
    """No key names its edition."""
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating\n1,1,4\n")
    (tmp_path / "ratings.dat").write_text("1::1193::5::978300760\n")
    with pytest.raises(DataError, match=r"^gate\.golden_set: .*: expected the ratings of one"):
        golden_set.files(str(tmp_path))


def test_a_golden_set_of_another_scale_is_refused(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "golden"
    folder.mkdir()
    rows = "".join(f"{user},1,{10 * user}\n" for user in range(10))
    (folder / "ratings.csv").write_text(f"userId,movieId,rating\n{rows}")
    with pytest.raises(DataError, match=r"100% of its ratings .* 0\.5 to 5; expected"):
        run(data, folder, tmp_path / "out")


def test_ratings_that_lost_their_scale_are_no_fault_of_the_golden_set(
    data: Path, golden: Path, tmp_path: Path
) -> None:
    """All are 3, which the checks of the data refuse."""
    rows = "".join(f"{user},{movie},3,100\n" for user in range(100) for movie in (1, 2, 3))
    (data / "ratings.csv").write_text(f"userId,movieId,rating,timestamp\n{rows}")
    assert report.read(run(data, golden, tmp_path / "out").uri).golden == 41


def test_a_golden_set_with_other_ids_is_refused(data: Path, tmp_path: Path) -> None:
    """It would measure a model by movies that nobody knows."""
    folder = tmp_path / "golden"
    folder.mkdir()
    (folder / "ratings.csv").write_text("userId,movieId,rating\n1,tt1,4\n2,tt2,3\n")
    with pytest.raises(DataError, match=r"gate\.golden_set: none of its 2 ratings .* has tt1"):
        run(data, folder, tmp_path / "out")


@pytest.mark.parametrize(("title", "refused"), [("Toy Story", True), ("Heat (1995)", False)])
def test_a_golden_set_of_another_edition_is_refused(
    title: str, refused: bool, data: Path, tmp_path: Path
) -> None:
    """Its numbers are those of other movies. Movie 3 alone may have a corrected title."""
    folder = tmp_path / "golden"
    folder.mkdir()
    rows = "".join(f"{user},{movie},4\n" for user in range(9) for movie in (1, 2, 3))
    (folder / "ratings.csv").write_text(f"userId,movieId,rating\n{rows}")
    titles = {1: title, 2: title if refused else "Girl, Interrupted (1999)", 3: "Corrected"}
    lines = "".join(f'{movie},"{name}",Drama\n' for movie, name in titles.items())
    (folder / "movies.csv").write_text(f"movieId,title,genres\n{lines}")
    if not refused:
        assert report.read(run(data, folder, tmp_path / "out").uri).golden == 27
        return
    with pytest.raises(DataError, match=r"another title.*1 is 'Toy Story', and 'Heat \(1995\)'"):
        run(data, folder, tmp_path / "out")


def local_fingerprint(data: Path, golden: Path | None) -> str:
    config = example_gen_pb2.Input(splits=[example_gen_pb2.Input.Split(name="csv", pattern="*")])
    given = properties(data, golden) | {
        standard_component_specs.INPUT_CONFIG_KEY: proto_utils.proto_to_json(config)
    }
    nothing = data_types.PipelineInfo("", "")
    resolved = ContentFingerprintDriver(None).resolve_exec_properties(
        given, nothing, data_types.ComponentInfo("", "", nothing)
    )
    return str(resolved["input_fingerprint"])


def cluster_fingerprint(data: Path, golden: Path | None) -> str:
    value = standard_artifacts.String()
    value.uri = str(data / "digest" / "value")
    data_fingerprint.Executor().Do(
        {},
        {data_fingerprint.FINGERPRINT_KEY: [value]},
        {
            data_fingerprint.INPUT_BASE_KEY: str(data),
            data_fingerprint.EDITION_KEY: "csv",
            data_fingerprint.GOLDEN_SET_KEY: None if golden is None else str(golden),
        },
    )
    value.read()
    return str(value.value)


@pytest.mark.parametrize("fingerprint", [local_fingerprint, cluster_fingerprint])
def test_a_change_of_the_golden_set_is_a_change_of_the_data(
    data: Path, golden: Path, fingerprint: object
) -> None:
    assert callable(fingerprint)
    without, before = fingerprint(data, None), fingerprint(data, golden)
    path = golden / "trusted.csv"
    path.write_text(path.read_text().replace("2.5", "3.5"))
    assert len({without, before, fingerprint(data, golden)}) == 3
