from pathlib import Path

from tfx import types
from tfx.types import standard_artifacts

from components import baseline_model


def model(number: int, group: str = "a", deleted: bool = False) -> types.Artifact:
    artifact = standard_artifacts.Model()
    artifact.uri = "/nowhere" if deleted else str(Path(__file__).parent)
    artifact.id = number
    artifact.set_string_custom_property(baseline_model.COMPARISON_GROUP, group)
    return artifact


def blessing(
    number: int, candidate: int, baseline: int = 0, blessed: bool = True
) -> types.Artifact:
    artifact = standard_artifacts.ModelBlessing()
    artifact.id = number
    artifact.set_int_custom_property("current_model_id", candidate)
    artifact.set_int_custom_property("blessed", int(blessed))
    if baseline:
        artifact.set_int_custom_property("baseline_model_id", baseline)
    return artifact


def infra_blessing(number: int, candidate: int, blessed: bool = True) -> types.Artifact:
    artifact = standard_artifacts.InfraBlessing()
    artifact.id = number
    artifact.set_int_custom_property("current_model_id", candidate)
    artifact.set_int_custom_property("blessed", int(blessed))
    return artifact


def resolve(
    candidate: types.Artifact,
    models: list[types.Artifact],
    blessings: list[types.Artifact],
    infra_blessings: list[types.Artifact] | None = None,
) -> list[int]:
    """The baseline; unless told otherwise a model server has answered with every model."""
    if infra_blessings is None:
        infra_blessings = [infra_blessing(100 + number, number) for number in range(10)]
    found = baseline_model.LatestComparableBlessedModel().resolve_artifacts(
        None,
        {
            "candidate": [candidate],
            "model": [*models, candidate],
            "model_blessing": blessings,
            "infra_blessing": infra_blessings,
        },
    )
    # TFX drops all outputs if one is missing.
    assert set(found) == {"candidate", "model", "model_blessing", "infra_blessing"}
    for baseline, *its_blessings in zip(
        found["model"], found["model_blessing"], found["infra_blessing"], strict=True
    ):
        for its_blessing in its_blessings:
            assert its_blessing.get_int_custom_property("current_model_id") == baseline.id
            assert its_blessing.get_int_custom_property("blessed") == 1
    return [artifact.id for artifact in found["model"]]


def test_the_first_model_has_no_baseline() -> None:
    assert resolve(model(1), [], []) == []


def test_the_last_blessed_one_counts_whatever_was_trained_since() -> None:
    models = [model(1), model(2), model(3)]
    blessings = [blessing(11, 1), blessing(12, 2, 1), blessing(13, 3, 2, blessed=False)]
    assert resolve(model(4), models, blessings) == [2]


def test_blessed_last_means_by_blessing_not_by_training() -> None:
    models = [model(1), model(2)]
    blessings = [blessing(11, 1), blessing(12, 2, 1), blessing(13, 1, 2)]
    assert resolve(model(4), models, blessings) == [1]


def test_an_unchanged_model_keeps_the_baseline_it_was_blessed_against() -> None:
    assert resolve(model(1), [], [blessing(11, 1)]) == []
    both = [blessing(11, 1), blessing(12, 2, 1)]
    assert resolve(model(2), [model(1)], both) == [1]


def test_an_unchanged_model_that_was_rejected_meets_the_same_baseline_again() -> None:
    blessings = [blessing(11, 1), blessing(12, 2, 1, blessed=False)]
    assert resolve(model(2), [model(1)], blessings) == [1]


def test_a_model_whose_files_are_gone_is_no_baseline() -> None:
    models = [model(1), model(2, deleted=True)]
    assert resolve(model(3), models, [blessing(11, 1), blessing(12, 2)]) == [1]


def test_models_of_another_split_do_not_count() -> None:
    models = [model(1, "a"), model(2, "b")]
    blessings = [blessing(11, 1), blessing(12, 2)]
    assert resolve(model(3, "a"), models, blessings) == [1]
    assert resolve(model(3, "c"), models, blessings) == []


def test_a_model_with_which_no_server_answered_is_no_baseline() -> None:
    models, blessings = [model(1), model(2)], [blessing(11, 1), blessing(12, 2, 1)]
    refused = [infra_blessing(21, 1), infra_blessing(22, 2, blessed=False)]
    assert resolve(model(3), models, blessings, refused) == [1]
    assert resolve(model(3), models, blessings, refused[:1]) == [1]
    assert resolve(model(3), models, blessings, []) == []


def test_a_model_that_could_be_served_once_stays_a_baseline() -> None:
    later = [infra_blessing(21, 1), infra_blessing(22, 1, blessed=False)]
    assert resolve(model(3), [model(1)], [blessing(11, 1)], later) == [1]
