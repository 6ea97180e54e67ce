"""What lab.check says of a real lab that is whole, in all its reports."""

from __future__ import annotations

import json
import re
import tarfile
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.live.labs import HOME, LAB, NODES, count
from tests.live.typed import Run, Stacklab

pytestmark = pytest.mark.live

DIRECTORY = HOME / "labs" / LAB


@dataclass(frozen=True)
class Checked:
    """Two checks of the whole lab, and the files that the second one wrote."""

    kind: str
    cold: Run
    warm: Run
    json: Path
    junit: Path
    html: Path


@pytest.fixture(scope="module")
def checked(
    stacklab: Stacklab, first_up: Run, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> Checked:
    """Check the lab without and with shared connections, and write every report."""
    reports = tmp_path_factory.mktemp("reports")
    paths = {name: reports / f"c.{name}" for name in ("json", "junit", "html")}
    options = (word for name, path in paths.items() for word in (f"--{name}", str(path)))
    stacklab.close_connections(LAB, NODES)
    cold = stacklab.check(LAB)
    return Checked(kind=kind, cold=cold, warm=stacklab.check(LAB, *options), **paths)


@pytest.mark.kinds("containers", "vms")
def test_a_whole_lab_passes_quickly_with_its_connections_shared_or_not(checked: Checked) -> None:
    # Printed, not asserted: this host may have other work.
    print(f"cold: {checked.cold.elapsed_s:.1f} s (wanted: 20)")
    print(f"warm: {checked.warm.elapsed_s:.1f} s (wanted: 10)")
    for layer in ("nodes", "pairs", "isolation", "outside"):
        assert re.search(rf"^{layer} +(\d+) of \1 passed", checked.warm.out, re.MULTILINE), layer


@pytest.mark.kinds("containers", "vms")
def test_the_json_and_the_junit_file_have_every_check(checked: Checked) -> None:
    report = json.loads(checked.json.read_text())
    assert report["summary"]["total"] == len(report["checks"]) == count(LAB, checked.kind)
    assert report["summary"]["failed"] == report["summary"]["error"] == 0
    assert report["exit_code"] == checked.warm.code
    root = ET.parse(checked.junit).getroot()
    assert (
        int(root.get("tests", "0")) == len(list(root.iter("testcase"))) == count(LAB, checked.kind)
    )


class Whole(HTMLParser):
    """Reads a page; what it asks the network for, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.text = ""
        self.ended: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.asked += [
            str(v)
            for k, v in attrs
            if k in ("src", "href") and not str(v).startswith(("#", "data:"))
        ]

    def handle_endtag(self, tag: str) -> None:
        self.ended.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_what_is_asked_for_is_tried_and_nothing_else(
    stacklab: Stacklab, lab: Run, tmp_path: Path
) -> None:
    def tried(*words: str) -> list[dict[str, str]]:
        path = tmp_path / "c.json"
        stacklab.check(LAB, "--json", str(path), *words)
        found: list[dict[str, str]] = json.loads(path.read_text())["checks"]
        return found

    assert {each["layer"] for each in tried("--layer", "isolation,nodes")} == {"isolation", "nodes"}
    both = [
        e
        for e in tried("--layer", "pairs", "--network", "fabric", "--node", "compute1")
        if e["layer"] == "pairs"
    ]
    assert {each["network"] for each in both} == {"fabric"}
    assert all("compute1" in (each["node"], each["target"]) for each in both)
    assert {"compute1 -> controller", "controller -> compute1"} <= {
        f"{e['node']} -> {e['target']}" for e in both
    }
    wrong = stacklab.run("lab.check", LAB, "--node", "compute9")
    assert wrong.code == 1
    assert "compute1" in wrong.err


def test_the_page_is_whole_and_asks_the_network_for_nothing(checked: Checked) -> None:
    read = Whole()
    read.feed(checked.html.read_text())
    read.close()
    assert read.ended[-1] == "html"
    assert read.asked == []
    for word in (*NODES, "192.168.150.10", "10.150.0.11", "fabric"):
        assert word in read.text, word


def test_a_report_that_can_t_be_written_is_told_before_anything_is_tried(
    stacklab: Stacklab, lab: Run, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    run = stacklab.run(
        "lab.check", LAB, "--json", f"{tmp_path}/file/c.json", "--html", str(tmp_path)
    )
    assert run.code == 1
    assert f"{tmp_path}/file/c.json" in run.err
    assert f"{tmp_path}: is a directory" in run.err
    assert "checks" not in run.err
    assert run.out == ""


@pytest.mark.kinds("containers", "vms")
def test_the_logs_have_an_index_and_no_secret(stacklab: Stacklab, lab: Run, tmp_path: Path) -> None:
    secrets = set(json.loads((DIRECTORY / "secrets.json").read_text()).values())
    # Keys that are on the nodes and on this host; a line of one is as bad as the whole.
    keys = [path.read_text() for path in (DIRECTORY / "keys").iterdir() if path.suffix != ".pub"]
    lines = {
        line
        for key in keys
        for line in key.splitlines()
        if len(line) > 30 and "PRIVATE" not in line
    }
    assert secrets
    assert lines
    bundle = tmp_path / "bundle.tar.gz"
    stacklab.ok("lab.logs", LAB, "--out", str(bundle))
    with tarfile.open(bundle) as archive:
        members = {
            each.name: archive.extractfile(each) for each in archive.getmembers() if each.isfile()
        }
        texts = {
            name: stream.read().decode("utf-8", "replace")
            for name, stream in members.items()
            if stream
        }
    index = texts["bundle/index.html"]
    for node in NODES:
        assert any(name.startswith(f"bundle/nodes/{node}/") for name in texts), node
        assert node in index
    assert any("localrc" in name for name in texts), "answers are there, with masks"
    found = [name for name, text in texts.items() if any(each in text for each in secrets | lines)]
    assert found == []
    assert not any("PRIVATE KEY-----\n" in text for text in texts.values())
