"""Starts and ends of one node that are at work at the same time, as killed commands leave them."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest

from stacklab.errors import ProviderError
from stacklab.model.state import NodeState
from tests.contract.containers.tiny_node import NEEDS, WAITS, TinyNode

pytestmark = list(NEEDS)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TinyNode]:
    tiny = TinyNode.make(tmp_path, WAITS, is_privileged=True)
    try:
        yield tiny
    finally:
        tiny.remove()


def lock_of(node: TinyNode) -> Path:
    directory = node.container.directory
    return directory.with_name(f"{directory.name}.lock")


def hold(node: TinyNode) -> BinaryIO:
    """Take the lock, as machine.sh does."""
    stream = lock_of(node).open("wb")
    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return stream


def queue(node: TinyNode, pool: ThreadPoolExecutor) -> Future[None]:
    """Start the node behind whoever holds the lock; returns once that waits."""
    starting = pool.submit(node.start)
    inode = lock_of(node).stat().st_ino
    for _ in range(3000):
        # `->` is a process that waits.
        waiting = [line for line in Path("/proc/locks").read_text().splitlines() if "->" in line]
        if any(f":{inode} " in line for line in waiting):
            return starting
        time.sleep(0.02)
    pytest.fail("the start does not wait")


def test_a_start_that_waited_for_a_removal_makes_nothing(node: TinyNode) -> None:
    with ThreadPoolExecutor() as pool:
        with hold(node):
            starting = queue(node, pool)
            # As a removal does.
            node.container.seed.unlink()
            lock_of(node).unlink()
        with pytest.raises(ProviderError, match="was removed meanwhile"):
            starting.result()
    assert node.machines.state(node.container) is NodeState.ABSENT
    assert not node.group.exists()
    assert not lock_of(node).exists()


def test_a_start_that_waited_for_a_removal_waits_for_the_next_start(node: TinyNode) -> None:
    with ThreadPoolExecutor() as pool:
        removal = hold(node)
        starting = queue(node, pool)
        lock_of(node).unlink()
        with hold(node):
            removal.close()
            time.sleep(1)
            assert not starting.done()
            assert not node.group.exists()
        starting.result()
    assert node.wait_for_tries() == {"end": "yes"}


def test_a_removal_takes_the_seed_first_so_that_no_start_follows_it(
    node: TinyNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.start()
    called: list[bool] = []
    call = node.machines._call

    def watch(*arguments: str, **settings: dict[str, str]) -> None:
        called.append(node.container.seed.exists())
        call(*arguments, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(node.machines, "_call", watch)
    node.machines.remove(node.container)
    assert called == [False]
