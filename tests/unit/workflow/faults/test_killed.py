"""lab.fault killed between any two of its steps."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stacklab.model.state import NodeState
from stacklab.workflow.faults import fault_list, faults
from tests.unit.workflow.faults.faulty_lab import EVERY, LAB, Up


class Killed(BaseException):
    """What no handler can make good: from then on nothing reaches the host."""


class Mortal:
    """Dies at the step of that number, and at each after it.

    Libvirt's calls, ebtables' and writes of the list.
    """

    STEPS = ("pause", "resume", "start", "power_off", "update_nic", "unplug", "plug")

    def __init__(self, up: Up, patch: pytest.MonkeyPatch, steps: int) -> None:
        self.left = steps
        for name in self.STEPS:
            patch.setattr(up.libvirt, name, self.step(getattr(up.libvirt, name)))
        patch.setattr(fault_list, "write", self.step(fault_list.write))
        for prefix in (("ebtables",), ("sudo", "-n", "ebtables")):
            patch.setitem(up.host.runner.script, prefix, self.step(up.tables.run))

    def step(self, real: Callable[..., object]) -> Callable[..., object]:
        def tried(*args: object) -> object:
            if self.left == 0:
                raise Killed
            self.left -= 1
            return real(*args)

        return tried


def killed_at(up: Up, steps: int, do: Callable[[], object]) -> bool:
    """Whether it was killed before it was through."""
    with pytest.MonkeyPatch.context() as patch:
        Mortal(up, patch, steps)
        try:
            do()
        except Killed:
            return True
    return False


@pytest.mark.parametrize("ends", ["undo", "clear", "forget"])
@pytest.mark.parametrize("words", EVERY)
def test_killed_between_any_two_steps_it_leaves_what_the_next_command_ends(
    up: Up, words: str, ends: str
) -> None:
    end: dict[str, Callable[[], object]] = {
        "undo": up.undo,
        "clear": lambda: faults.clear(up.host.context, LAB, up.host.lab(), up.kept),
        "forget": lambda: faults.forget(up.host.context, up.host.lab(), up.kept),
    }

    def make_and_end() -> None:
        up.apply(*words.split())
        end[ends]()

    steps = 0
    while killed_at(up, steps, make_and_end):
        end[ends]()
        assert up.tables.is_clean, steps
        assert up.listed == [], steps
        assert ends != "undo" or up.is_healthy, steps
        for uuid in up.libvirt.states:  # what lab.up or lab.destroy does next
            up.libvirt.states[uuid] = NodeState.RUNNING
        up.libvirt.wire(up.kept, LAB)
        up.libvirt.down.clear()
        steps += 1
    assert steps >= 3
