from __future__ import annotations

import threading

import grpc
import pytest

from serving.embedded.admission import Admission
from serving.embedded.request_errors import RequestError


def test_no_more_than_the_limit_and_again_when_one_has_left() -> None:
    admission = Admission(2)
    admission.enter()
    admission.enter()
    with pytest.raises(RequestError, match="2 requests") as refused:
        admission.enter()
    assert refused.value.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert admission.inside == 2
    admission.leave()
    admission.enter()
    assert admission.inside == 2


def test_none_after_it_is_closed() -> None:
    admission = Admission(2)
    admission.close()
    with pytest.raises(RequestError, match="stopping") as refused:
        admission.enter()
    assert refused.value.code == grpc.StatusCode.UNAVAILABLE
    assert admission.inside == 0


def test_waiting_ends_when_the_last_has_left() -> None:
    admission = Admission(2)
    admission.enter()
    assert not admission.wait_until_empty(0)
    leaves = threading.Timer(0.05, admission.leave)
    leaves.start()
    assert admission.wait_until_empty(60)
    leaves.join()


def test_as_many_leave_as_enter_from_many_threads() -> None:
    admission = Admission(3)

    def come_and_go() -> None:
        for _ in range(500):
            try:
                admission.enter()
            except RequestError:
                continue
            admission.leave()

    threads = [threading.Thread(target=come_and_go) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert admission.inside == 0
