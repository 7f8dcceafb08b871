from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.config.errors import UserError
from pipeline.config.tree import PipelineConfig, load_config, to_toml


def test_file_then_overrides(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('[training]\nepochs = 7\nseed = 1\n[split]\nmethod = "time"\n')
    config = load_config(path, ["training.epochs=9", "split.method=fold:3", "gate.max_rmse = 1"])
    assert config.training.epochs == 9
    assert config.training.seed == 1
    assert config.split.fold == 3
    assert config.gate.max_rmse == 1.0


def test_what_is_written_reads_back_the_same(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    config = load_config(None, ['gate.slices=["movie_genres=Drama"]', f"data.path={tmp_path}"])
    path.write_text(to_toml(config))
    assert load_config(path) == config


def test_a_path_is_relative_to_its_file(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('[data]\npath = "ratings"\n')
    assert load_config(tmp_path / "run.toml").data.path == tmp_path / "ratings"


def test_the_home_folder_may_be_written_short(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('[data]\npath = "~/ratings"\n')
    assert load_config(tmp_path / "run.toml").data.path == Path("~/ratings").expanduser()


def test_names_of_digits_are_text() -> None:
    config = load_config(None, ["data.path=2024", "serving.model_name=2024"])
    assert config.data.path == Path("2024").resolve()
    assert config.serving.model_name == "2024"


@pytest.mark.parametrize(
    "text", ["2026-11-22", "1e3", "007", "1_000", "true", "0x10", "a, b", "1.10"]
)
def test_text_stays_as_it_was_typed(text: str) -> None:
    config = load_config(None, [f"data.name={text}", f"data.path={text}"])
    assert config.data.name == text
    assert config.data.path == Path(text).resolve()


def test_text_may_be_quoted() -> None:
    assert load_config(None, ['data.name="a # b"']).data.name == "a # b"
    assert load_config(None, ["data.name='a'"]).data.name == "a"


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("[training]\nepochs = 7\n", encoding="utf-8-sig")
    assert load_config(tmp_path / "run.toml").training.epochs == 7


def test_a_link_that_leads_back_to_itself_is_named(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").symlink_to("ratings.csv")
    with pytest.raises(UserError, match="a link that leads back to itself"):
        load_config(None, [f"data.path={tmp_path / 'ratings.csv'}"])


def test_the_tree_is_frozen() -> None:
    with pytest.raises(ValidationError):
        PipelineConfig().training.epochs = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("training.epoch=3", ["training.epoch", "did you mean training.epochs?"]),
        ("trainin.epochs=3", ["trainin: ", "did you mean training?", "data, split"]),
        ("model.epochs=3", ["model.epochs", "did you mean training.epochs?"]),
        ("gate.max_rmse=inf", ["gate.max_rmse", "finite"]),
        ("data.path=", ["data.path", "expected a path"]),
        ("serving.binary=", ["serving.binary", "expected a path"]),
        ("data.path=~nosuchuser/ratings", ["data.path", "no such user"]),
        ("data.path=https://host/x.zip", ["data.path", "not an address; fetch it first"]),
        ("gate.golden_set=gs://b/x", ["gate.golden_set", "not an address"]),
        ("data.dataset=ml25m", ["data.dataset: 'ml25m'", "'ml-25m'"]),
        ('data.columns={User="a"}', ["data.columns.User: 'User'", "'user'"]),
        ('data.columns={user="a", movie="a"}', ["data.columns", "user and movie are both a"]),
        ("data.columns={user=1, rating=1}", ["data.columns", "user and rating are both 1"]),
        ("data.rating_range=[1]", ["data.rating_range", "expected one more value"]),
        ("data.delimiter=þ", ["data.delimiter: 'þ'", "one ASCII character"]),
        ("data.delimiter='\"'", ["data.delimiter", "no letter, digit or quote"]),
        ("data.delimiter=a", ["data.delimiter: 'a'", "no letter, digit or quote"]),
        ('data.delimiter="\\n"', ["data.delimiter", "one ASCII character"]),
        ("model.dimension=true", ["model.dimension: True is not allowed", "true and false"]),
        ("gate.max_rmse=false", ["gate.max_rmse: False is not allowed"]),
        ('tuning.ranges={"model.dimension"=[true, 9]}', ["tuning.ranges", "true and false"]),
        (
            "training.epochs=none",
            ["training.epochs", "'none' is not allowed", "expected a whole number"],
        ),
        ("training.epochs=0", ["training.epochs", "0 is not allowed", "expected 1 or more"]),
        ("model.name=svd", ["model.name", "'svd' is not allowed", "biased_mf"]),
        ("split.method=fold:9", ["split.method", "'fold:9'", "fold:1 to fold:5"]),
        ("split.holdout_fraction=0.95", ["split", "must be below 1"]),
        ('gate.slices=["year=1"]', ["gate.slices", "movie_genres=VALUE"]),
        ("gate.slices=movie_genres=Drama", ["gate.slices", "expected a list"]),
        ("tuning.trials=0", ["tuning.trials", "0 is not allowed", "expected 1 or more"]),
        ("tuning.trials=1001", ["tuning.trials", "1001 is not allowed", "expected 1000 or less"]),
        ('tuning.ranges={"model.dim"=[1, 2]}', ["model.dim cannot be tuned", "model.dimension"]),
        ('tuning.ranges={"model.dimension"=[0, 9]}', ["model.dimension: 0 is not allowed"]),
        ('tuning.ranges={"model.dimension"=[9, 2]}', ["model.dimension: [9, 2] is not a range"]),
        ("serving.model_name=../x", ["serving.model_name", "'../x'"]),
        (
            "kubernetes.image=Movierec:1",
            ["kubernetes.image", "'Movierec:1'", "not a valid image name"],
        ),
        (
            "kubernetes.image=server",
            ["kubernetes.image", "a tag or a digest", "tensorflow/serving"],
        ),
        ("kubernetes.image=server:latest", ["kubernetes.image", "a tag that stays the same"]),
        ("vertex.region=Europe", ["vertex.region", "'Europe' is not allowed"]),
        ("training.epochs=2.5", ["training.epochs", "2.5 is not allowed", "a whole number"]),
        ("gate.max_rmse=low", ["gate.max_rmse", "'low' is not allowed", "expected a number"]),
        ("gate.max_rmse=0", ["gate.max_rmse", "0 is not allowed", "expected more than 0"]),
        ("split.eval_fraction=1", ["split.eval_fraction", "expected less than 1"]),
        ("runner.cache=perhaps", ["runner.cache", "'perhaps'", "expected true or false"]),
        ("data.date_order=ymd", ["data.date_order", "'ymd'", "expected 'dmy' or 'mdy'"]),
        ("data.columns=user", ["data.columns", "'user'", "expected a table such as {user ="]),
        ("data.rating_range=1-5", ["data.rating_range", "'1-5'", "or [1, 5]"]),
        ("epochs=3", ["--set epochs=3", "SECTION.KEY=VALUE"]),
        ("training.epochs", ["--set training.epochs", "SECTION.KEY=VALUE"]),
    ],
)
def test_a_wrong_override_is_one_line_that_names_it(override: str, parts: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        load_config(None, [override])
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    "content",
    [
        b"[training",
        b"\xff\xfe",
        b"training = 3\n",
        b'data.path = ""\n',
        b"data.path = 2026-11-22\n",
        b'data.path = "~nosuchuser/ratings"\n',
        b"model.dimension = true\n",
        b'data.path = "s3://bucket/ratings"\n',
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.toml"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_config(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.toml: No such file"):
        load_config(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (
            ["export.rank_by=lower_bound"],
            "export.rank_by: biased_mf has no lower bound of its ratings; expected "
            "popularity_blend or rating, or model.name bayesian_mf",
        ),
        (["export.rank_by=lower_bound", "model.name=ease"], "export.rank_by: ease has no lower"),
        (["export.rank_by=stars"], "export.rank_by: 'stars' is not allowed: "),
        (["export.rank_weight=-1"], "export.rank_weight: -1 is not allowed: "),
    ],
)
def test_a_ranking_that_the_model_has_not_is_refused(overrides: list[str], reason: str) -> None:
    with pytest.raises(UserError) as caught:
        load_config(None, overrides)
    assert str(caught.value).startswith(reason)
    assert "\n" not in str(caught.value)


def test_a_model_with_intervals_may_rank_by_a_lower_bound() -> None:
    chosen = ["model.name=bayesian_mf", "export.rank_by=lower_bound", "export.rank_weight=2"]
    assert load_config(None, chosen).export.rank_weight == 2
    assert load_config().export.rank_by == "popularity_blend"
