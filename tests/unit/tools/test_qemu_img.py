from __future__ import annotations

import json
from pathlib import Path

import pytest

from stacklab.model.lab import Size
from stacklab.process import Command
from stacklab.tools import qemu_img
from stacklab.tools.qemu_img import DiskInfo

# As qemu-img 7.2 writes it, of an overlay.
RECORDED = """\
{
    "backing-filename-format": "qcow2",
    "virtual-size": 21474836480,
    "filename": "node.qcow2",
    "cluster-size": 65536,
    "format": "qcow2",
    "actual-size": 200704,
    "full-backing-filename": "/images/base.qcow2",
    "backing-filename": "base.qcow2",
    "dirty-flag": false
}
"""


def test_an_overlay_is_told_with_the_whole_path_of_its_base() -> None:
    found = qemu_img.parse_info(RECORDED)
    assert found == DiskInfo(
        format="qcow2", virtual_bytes=20 * 1024**3, backing=Path("/images/base.qcow2")
    )


def test_a_disk_without_a_base_has_none() -> None:
    assert qemu_img.parse_info('{"format": "raw", "virtual-size": 512}').backing is None


def test_an_older_qemu_img_that_tells_the_short_name_alone_is_read() -> None:
    data = {
        key: value for key, value in json.loads(RECORDED).items() if not key.startswith("full-")
    }
    assert qemu_img.parse_info(json.dumps(data)).backing == Path("base.qcow2")


def test_an_overlay_names_the_format_of_its_base() -> None:
    argv = qemu_img.overlay(Path("/o.qcow2"), Path("/b.qcow2"), Size.parse("20GiB")).argv
    assert argv[argv.index("-b") + 1] == "/b.qcow2"
    assert argv[argv.index("-F") + 1] == "qcow2"
    assert argv[-2:] == ("/o.qcow2", "20480M")


def test_a_disk_whose_content_is_in_another_file_is_not_standalone() -> None:
    base = {"format": "qcow2", "virtual-size": 512}
    external = {"type": "qcow2", "data": {"compat": "1.1", "data-file": "/etc/shadow"}}
    internal = {"type": "qcow2", "data": {"compat": "1.1", "lazy-refcounts": False}}
    standalone = {
        "plain": {},
        "with details": {"format-specific": internal},
        "external": {"format-specific": external},
        "overlay": {"backing-filename": "base.qcow2"},
        "raw": {"format": "raw"},
    }
    assert [
        name
        for name, more in standalone.items()
        if qemu_img.parse_info(json.dumps(base | more)).is_standalone_qcow2
    ] == ["plain", "with details"]


def test_the_format_of_a_disk_is_never_guessed() -> None:
    argv = qemu_img.info(Path("/o.qcow2")).argv
    assert argv[argv.index("-f") + 1] == "qcow2"


def test_a_disk_in_use_can_be_read() -> None:
    assert "--force-share" in qemu_img.info(Path("/o.qcow2")).argv


@pytest.mark.parametrize(
    ("command", "end"),
    [
        (qemu_img.convert(Path("/a.raw"), Path("/b.qcow2")), ("-O", "qcow2", "/a.raw", "/b.qcow2")),
        (qemu_img.resize(Path("/b.qcow2"), Size.parse("48GiB")), ("/b.qcow2", "49152M")),
    ],
    ids=["convert", "resize"],
)
def test_every_command_says_what_it_does(command: Command, end: tuple[str, ...]) -> None:
    assert command.argv[-len(end) :] == end
    assert ".qcow2" in command.what or ".raw" in command.what
