"""Performs tasks when those before them have succeeded, several at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter


def perform_in_order(
    after: Mapping[str, Collection[str]],
    perform: Callable[[str], bool],
    jobs: int,
    stop: Callable[[], None],
) -> None:
    """Performs every task whose predecessors have succeeded.

    Args:
        after: the predecessors of each task, without cycles.
        perform: performs a task in a thread of its own; whether it succeeded. Those that come
            after one that did not are not performed.
        jobs: how many are performed at a time.
        stop: has every `perform` under way return soon; called when this is interrupted.
    """
    order = TopologicalSorter(after)
    order.prepare()
    running: dict[Future[bool], str] = {}
    with ThreadPoolExecutor(jobs) as pool:
        try:
            while True:
                running |= {pool.submit(perform, name): name for name in order.get_ready()}
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    name = running.pop(future)
                    if future.result():
                        order.done(name)
        except BaseException:
            # Nobody waits for the others, and leaving the pool would.
            stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
