"""What a node may take of its host, by a node that takes all that it gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacklab.providers.containers import machines
from stacklab.tools.host import cgroups
from tests.contract.containers.tiny_node import NEEDS, WAITS, TinyNode

ROOT = cgroups.root()
HAS = cgroups.controllers(
    Path("/proc/self/mountinfo").read_text(),
    (ROOT / "cgroup.controllers").read_text() if ROOT else "",
)
MOST = 64

pytestmark = [
    *NEEDS,
    pytest.mark.skipif("pids" not in HAS, reason="this host has no controller of pids"),
]

# No bomb: it gives up by itself.
INIT = f"""
perl -e '
    for $n (1 .. 200) {{
        $child = fork;
        if (!defined $child) {{ print "refused: after $n, $!\\n"; last }}
        if (!$child) {{ sleep 600; exit }}
    }}
' >>/tries
{WAITS}
"""


@pytest.mark.parametrize("is_privileged", [True, False])
def test_a_node_has_no_more_processes_than_it_may(
    tmp_path: Path, is_privileged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "_FEWEST_TASKS", MOST)
    monkeypatch.setattr(machines, "_MOST_TASKS", MOST)
    node = TinyNode.make(tmp_path, INIT, is_privileged=is_privileged)
    try:
        node.start()
        count, _, why = node.wait_for_tries()["refused"].partition(", ")
        # What keeps the node counts, too.
        assert MOST - 20 < int(count.removeprefix("after ")) < MOST
        assert why == "Resource temporarily unavailable"
    finally:
        node.remove()
    assert not node.group.exists()
