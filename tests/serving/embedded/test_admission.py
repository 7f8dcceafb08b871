from __future__ import annotations

import threading

import grpc
import pytest

from serving.embedded.admission import MAX_HEAVY_WORK, Admission
from serving.embedded.request_cost import LIGHT_WORK
from serving.embedded.request_errors import RequestError

HEAVY = LIGHT_WORK + 1


def test_no_more_than_the_limit_and_again_when_one_has_left() -> None:
    admission = Admission(2)
    admission.enter(1)
    admission.enter(1)
    with pytest.raises(RequestError, match="2 requests") as refused:
        admission.enter(1)
    assert refused.value.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert admission.inside == 2
    admission.leave(1)
    admission.enter(1)
    assert admission.inside == 2


def test_heavy_requests_leave_half_of_the_places_to_light_ones() -> None:
    admission = Admission(6)
    for _ in range(3):
        admission.enter(HEAVY)
    with pytest.raises(RequestError, match="3 heavy requests") as refused:
        admission.enter(HEAVY)
    assert refused.value.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    for _ in range(3):
        admission.enter(LIGHT_WORK)
    with pytest.raises(RequestError, match="6 requests"):
        admission.enter(1)
    admission.leave(HEAVY)
    admission.enter(HEAVY)
    assert admission.inside == 6


def test_heavy_work_is_bounded() -> None:
    admission = Admission(100)
    admission.enter(MAX_HEAVY_WORK - HEAVY)
    admission.enter(HEAVY)
    with pytest.raises(RequestError, match="heavy work") as refused:
        admission.enter(HEAVY)
    assert refused.value.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    admission.enter(LIGHT_WORK)
    admission.leave(HEAVY)
    admission.enter(HEAVY)


def test_the_only_heavy_request_is_admitted_however_heavy() -> None:
    admission = Admission(4)
    admission.enter(10 * MAX_HEAVY_WORK)
    with pytest.raises(RequestError, match="heavy work"):
        admission.enter(HEAVY)
    admission.leave(10 * MAX_HEAVY_WORK)
    admission.enter(HEAVY)


def test_none_after_it_is_closed() -> None:
    admission = Admission(2)
    admission.close()
    with pytest.raises(RequestError, match="stopping") as refused:
        admission.enter(1)
    assert refused.value.code == grpc.StatusCode.UNAVAILABLE
    assert admission.inside == 0


def test_waiting_ends_when_the_last_has_left() -> None:
    admission = Admission(2)
    admission.enter(1)
    assert not admission.wait_until_empty(0)
    leaves = threading.Timer(0.05, admission.leave, [1])
    leaves.start()
    assert admission.wait_until_empty(60)
    leaves.join()


def test_as_many_leave_as_enter_from_many_threads() -> None:
    admission = Admission(3)

    def come_and_go() -> None:
        for _ in range(500):
            try:
                admission.enter(1)
            except RequestError:
                continue
            admission.leave(1)

    threads = [threading.Thread(target=come_and_go) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert admission.inside == 0
