"""A lab's own checks of ports, against real ones."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Iterator

import pytest

from stacklab.checks.result import Reason
from stacklab.model.checks import CustomCheck, CustomKind
from tests.contract.custom_probes.probes import (
    FAILED,
    PASSED,
    closed_port,
    one,
    runs_bash,
)

pytestmark = runs_bash


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def port(number: int, host: str = "", **keys: object) -> CustomCheck:
    made = CustomCheck(name="own", kind=CustomKind.PORT, nodes=("one",), port=number, host=host)
    return dataclasses.replace(made, **keys)  # type: ignore[arg-type]


def test_a_port_is_open_or_not(shell: list[str], listener: int) -> None:
    assert one(shell, port(listener)) == (PASSED, Reason.OK)
    assert one(shell, port(listener, "localhost")) == (PASSED, Reason.OK)
    assert one(shell, port(closed_port())) == (FAILED, Reason.REFUSED)
    assert one(shell, port(listener, "nosuch.invalid")) == (FAILED, Reason.NAME_UNKNOWN)


def test_a_port_that_never_answers_has_its_time(shell: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        number = full.getsockname()[1]
        held = []
        for _ in range(3):  # fills the queue: no SYN is answered any more
            held.append(socket.socket())
            held[-1].setblocking(False)
            held[-1].connect_ex(("127.0.0.1", number))
        assert one(shell, port(number, timeout_s=1)) == (FAILED, Reason.TIMED_OUT)
        for each in held:
            each.close()
