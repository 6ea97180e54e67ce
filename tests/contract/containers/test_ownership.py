"""Whose a node's directories are, whatever the umask and the groups of who starts it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.contract.containers.tiny_node import NEEDS, WAITS, TinyNode

pytestmark = list(NEEDS)

INIT = f"""
for path in / /etc /etc/systemd /etc/systemd/system /etc/fstab; do
    echo "$path: $(stat -c '%A %u:%g' $path)" >>/tries
done
mkdir /made
echo "/made: $(stat -c '%A %u:%g' /made)" >>/tries
{WAITS}
"""


@pytest.fixture(params=[False, True], ids=["unprivileged", "privileged"])
def found(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mapping[str, str]]:
    """What a node has that was started by somebody who keeps all to himself."""
    # As the pool's directory is: what is made in it has its group.
    tmp_path.chmod(0o2775)
    os.chown(tmp_path, -1, 12)
    before = os.umask(0o077)
    try:
        node = TinyNode.make(tmp_path, INIT, is_privileged=request.param)
        try:
            node.start()
            yield node.wait_for_tries()
        finally:
            node.remove()
    finally:
        os.umask(before)


def test_a_node_boots_and_has_the_modes_and_groups_of_its_image(
    found: Mapping[str, str],
) -> None:
    for path in ("/", "/etc", "/etc/systemd", "/etc/systemd/system"):
        assert found[path] == "drwxr-xr-x 0:0", path
    assert found["/etc/fstab"] == "-rw-r--r-- 0:0"
    assert found["/made"] == "drwxr-xr-x 0:0"
