"""What nodes have written, frozen in layers: machine.sh for real, on the kernel's overlayfs."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacklab.errors import ProviderError
from stacklab.paths import HostPaths
from stacklab.providers.containers import layers
from tests.contract.containers.tiny_node import NEEDS, WAITS, TinyNode

pytestmark = list(NEEDS)

# Each boot says what it finds, and changes it. The first makes what the later ones change.
INIT = r"""
: >/tries
if [ ! -e /boots ]; then
    mkdir -p /data/inner /gone
    echo first >/data/inner/file
    echo first >/gone/file
    echo first >/linked && perl -e 'link "/linked", "/linked-too"'
    perl -e 'open F, ">/sparse"; truncate F, 10000000'
    perl -e 'chown 3, 4, "/linked"'
    perl -e 'unlink "/usr/bin/id"'
elif [ ! -e /data/second ]; then
    perl -e 'unlink "/gone/file"; rmdir "/gone"'
    mkdir /gone && echo second >/gone/other
    perl -e 'rename("/data/inner", "/data/renamed") || print "renamed: $!\n"' >>/tries
    echo second >/data/second
fi
echo boot >>/boots
echo "boots: $(grep -c boot /boots)" >>/tries
echo "gone: $(cat /gone/file /gone/other 2>/dev/null)" >>/tries
echo "inner: $(cat /data/inner/file /data/renamed/file 2>/dev/null)" >>/tries
echo "owner: $(stat -c %u:%g:%h /linked)" >>/tries
echo "sparse: $(stat -c %b /sparse)" >>/tries
[ -e /usr/bin/id ] && echo "id: is there" >>/tries
"""
FIRST = {
    "boots": "1",
    "gone": "first",
    "inner": "first",
    "owner": "3:4:2",
    "sparse": "0",
    "end": "yes",
}
SECOND = FIRST | {"boots": "2", "gone": "second"}


@pytest.fixture(params=[True, False], ids=["privileged", "unprivileged"])
def node(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[TinyNode]:
    tiny = TinyNode.make(tmp_path, INIT + WAITS, is_privileged=request.param)
    # Where a lab has it: what it lies on is said beside it.
    directory = HostPaths(tmp_path).lab("tiny").container("node")
    directory.parent.mkdir()
    container = dataclasses.replace(tiny.container, directory=directory)
    tiny = dataclasses.replace(tiny, container=container)
    try:
        yield tiny
    finally:
        tiny.remove()


def freeze(node: TinyNode, name: str) -> Path:
    """Freeze what the node has written so far."""
    paths = HostPaths(node.home).lab("tiny")
    layer = paths.frozen_disks / f"{name}{layers.SUFFIX}"
    layers.begin(layer, layers.under(paths, "node"))
    layers.lie_on(paths, "node", layer)
    node.machines.set_aside(node.container, layer)
    return layer


def lie_on(node: TinyNode, layer: Path | None) -> None:
    layers.lie_on(HostPaths(node.home).lab("tiny"), "node", layer)


def boot(node: TinyNode) -> dict[str, str]:
    """Start the node, and return what it finds."""
    (node.container.directory / "upper" / "tries").unlink(missing_ok=True)
    node.start()
    return dict(node.wait_for_tries())


def test_a_node_goes_on_above_what_was_frozen_and_comes_back_to_it(node: TinyNode) -> None:
    assert boot(node) == FIRST
    first = freeze(node, "first")
    # The kernel lets the users of a node rename only what they have written themselves.
    renamed = {} if node.is_privileged else {"renamed": "Invalid cross-device link"}
    assert boot(node) == SECOND | renamed
    second = freeze(node, "second")
    assert boot(node) == SECOND | {"boots": "3"}
    freeze(node, "unneeded")
    lie_on(node, first)
    assert boot(node) == SECOND | renamed
    freeze(node, "unneeded-too")
    lie_on(node, second)
    assert boot(node) == SECOND | {"boots": "3"}


def test_what_was_frozen_is_root_s_alone_and_never_changed(node: TinyNode) -> None:
    boot(node)
    layer = freeze(node, "first")
    private = layer / "private"
    assert (private.stat().st_uid, private.stat().st_mode & 0o7777) == (0, 0o700)
    before = listing(private)
    boot(node)
    node.machines.kill(node.container)
    assert listing(private) == before


def listing(directory: Path) -> str:
    argv = ("find", str(directory), "-printf", "%p %y %m %U %G %s %T@ %C@\n")
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def test_a_disk_that_is_taken_back_is_as_it_was(node: TinyNode) -> None:
    boot(node)
    layer = freeze(node, "first")
    for _ in range(2):  # as after a kill in the middle
        node.machines.take_back(node.container, layer)
    lie_on(node, None)
    assert not (layer / "private" / "upper").exists()
    assert boot(node) == SECOND


def test_a_start_that_waited_for_another_disk_is_refused(
    node: TinyNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot(node)
    freeze(node, "first")
    # As a start that a killed command has left waiting: it was told of the disk of then.
    monkeypatch.setattr(layers, "all_below", lambda _paths, _node: ())
    with pytest.raises(ProviderError, match="has got another disk meanwhile"):
        node.start()


def test_as_many_layers_as_are_allowed_can_be_mounted(node: TinyNode) -> None:
    boot(node)
    layer = freeze(node, "first")
    node.machines.kill(node.container)
    for number in range(layers.MOST - 1):
        above = layer.with_name(f"{number}{layers.SUFFIX}")
        layers.begin(above, layer)
        (above / "private" / "upper").mkdir(parents=True)
        layer = above
    lie_on(node, layer)
    assert boot(node)["boots"] == "2"
