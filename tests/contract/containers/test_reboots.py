"""A node that reboots as soon as it boots: it must not keep its host busy for ever."""

from __future__ import annotations

import platform
import time
from pathlib import Path

import pytest

from stacklab.model.state import NodeState
from tests.contract.containers.tiny_node import NEEDS, TinyNode

pytestmark = list(NEEDS)

# reboot(2), with the numbers that reboot a machine.
REBOOT = {"x86_64": 169, "aarch64": 142}
INIT = f"""
echo boot >>/boots
exec perl -e 'syscall({REBOOT.get(platform.machine(), 0)}, 0xfee1dead, 672274793, 0x01234567, 0)'
"""
MOST = 8


@pytest.mark.parametrize("is_privileged", [True, False])
def test_a_node_that_only_reboots_is_off_in_the_end_and_its_console_says_why(
    tmp_path: Path, is_privileged: bool
) -> None:
    node = TinyNode.make(tmp_path, INIT, is_privileged=is_privileged)
    boots = node.container.directory / "upper" / "boots"
    try:
        node.start()
        for _ in range(400):
            if node.machines.state(node.container) is NodeState.OFF:
                break
            assert len(boots.read_text().split() if boots.exists() else ()) <= MOST
            time.sleep(0.1)
        assert len(boots.read_text().split()) == MOST
        assert f"it rebooted {MOST} times, each within 10 s: it stays off" in (
            node.console.read_text()
        )
        # It may be started again.
        node.start()
    finally:
        node.remove()
