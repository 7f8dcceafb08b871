import pytest

from kubeflow.submission.schedule import Schedule, schedule
from kubeflow.targets import Target
from pipeline.config.errors import UserError


@pytest.mark.parametrize("text", ["0 3 * * 1", "  0   3 * *  1 "])
def test_five_fields_are_taken_and_kubeflow_gets_seconds_before_them(text: str) -> None:
    assert schedule(text, None, Target.VERTEX) == Schedule("0 3 * * 1", 1)
    assert schedule(text, 3, Target.KFP) == Schedule("0 0 3 * * 1", 3)


@pytest.mark.parametrize("prefix", ["TZ=", "CRON_TZ="])
def test_a_time_zone_is_for_vertex_alone(prefix: str) -> None:
    text = f"{prefix}Europe/Berlin 0 3 * * 1"
    zoned = schedule(text, None, Target.VERTEX)
    assert zoned is not None
    assert zoned.cron == "TZ=Europe/Berlin 0 3 * * 1"
    with pytest.raises(UserError, match="time zone"):
        schedule(text, None, Target.KFP)


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("", "0 fields"),
        ("0 3 * *", "4 fields"),
        ("0 0 3 * * 1", "6 fields"),
        ("@daily", "1 fields"),
        ("TZ=Europe/Berlin 0 3 * *", "4 fields"),
        ("TZ=Mars/Base 0 3 * * 1", "Mars/Base"),
        ("TZ=../../etc 0 3 * * 1", "../../etc"),
    ],
)
def test_another_number_of_fields_and_an_unknown_zone_are_refused(text: str, given: str) -> None:
    with pytest.raises(UserError) as raised:
        schedule(text, None, Target.VERTEX)
    assert str(raised.value).startswith(f"--cron {text}: ")
    assert given in str(raised.value)


def test_without_times_there_is_no_schedule() -> None:
    assert schedule(None, None, Target.KFP) is None
    with pytest.raises(UserError, match="--max-concurrent"):
        schedule(None, 2, Target.KFP)
