from __future__ import annotations

import dataclasses
import os
import re
import stat
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from stacklab.errors import LabError
from stacklab.model import Lab, NetworkMode
from stacklab.views import graph
from tests.unit.checks.fake_lab import make_lab

SVG = "{http://www.w3.org/2000/svg}"


def texts(lab: Lab) -> list[str]:
    return [element.text or "" for element in ET.fromstring(graph.svg(lab)).iter(f"{SVG}text")]


def many(count: int) -> Lab:
    lab = make_lab()
    nodes = tuple(dataclasses.replace(lab.nodes[-1], name=f"n{number}") for number in range(count))
    return dataclasses.replace(lab, nodes=nodes)


def test_every_network_node_and_address_is_in_the_picture() -> None:
    lab = make_lab()
    found = "\n".join(texts(lab))
    for network in lab.networks:
        assert f"{network.name}  {network.cidr}  {network.mode}" in found
    for node in lab.nodes:
        assert node.name in found
        assert all(f"{nic.device} {nic.address.ip}" in found for nic in node.nics)


def test_each_nic_has_a_line_in_its_networks_colour() -> None:
    lab = make_lab()
    lines = [element.get("stroke") for element in ET.fromstring(graph.svg(lab)).iter(f"{SVG}line")]
    bars = {line for line in lines if lines.count(line) == len(lab.nodes) + 1}
    assert len(bars) == len(lab.networks)


def test_nothing_reaches_over_the_edge_however_many_nodes_there_are() -> None:
    for count in (1, 3, 4, 5, 64):
        root = ET.fromstring(graph.svg(many(count)))
        width, height = int(root.get("width") or 0), int(root.get("height") or 0)
        for box in root.iter(f"{SVG}rect"):
            assert float(box.get("x", 0)) + float(box.get("width", 0)) <= width
            assert float(box.get("y", 0)) + float(box.get("height", 0)) <= height
        assert len(list(root.iter(f"{SVG}rect"))) == count + 1


def test_a_description_is_text_and_fits() -> None:
    lab = dataclasses.replace(make_lab(), description="<b>R&D</b> " + "x" * 200)
    root = ET.fromstring(graph.svg(lab))
    assert root.find(f"{SVG}title") is not None
    assert "<b>R&D</b>" in (root.find(f"{SVG}title").text or "")  # type: ignore[union-attr]
    assert int(root.get("width") or 0) > 1600


def test_it_is_drawn_for_light_and_for_dark_pages() -> None:
    assert "prefers-color-scheme: dark" in graph.svg(make_lab())


@pytest.mark.parametrize("form", ["mermaid", "dot"])
def test_the_texts_have_an_edge_for_each_nic_and_plain_identifiers(form: str) -> None:
    lab = make_lab()
    drawn = graph.draw(lab, form)
    edges = [line for line in drawn.splitlines() if " ---|" in line or " -- " in line]
    assert len(edges) == sum(len(node.nics) for node in lab.nodes)
    for edge in edges:
        assert re.match(r"  net_[a-z0-9_]+ (---|--)", edge)


def test_an_unknown_format_is_told_the_nearest() -> None:
    with pytest.raises(LabError, match=r"no format 'svgg' \(did you mean svg\?"):
        graph.draw(make_lab(), "svgg")


def test_a_path_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "device")
    reader = os.open(tmp_path / "device", os.O_RDONLY | os.O_NONBLOCK)
    graph.write("x", tmp_path / "device")  # as /dev/null and /dev/stdout: never replaced, least of all by root
    assert (os.read(reader, 10), stat.S_ISFIFO((tmp_path / "device").stat().st_mode)) == (b"x", True)
    os.close(reader)
    graph.write("x", tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_text() == "x"
    (tmp_path / "file").touch()
    with pytest.raises(LabError, match=r"file/a\.svg"):
        graph.write("x", tmp_path / "file" / "a.svg")


@pytest.mark.parametrize("format", ["svg", "mermaid", "dot"])
def test_a_network_without_the_host_says_so(format: str) -> None:
    lab = make_lab()
    apart = dataclasses.replace(lab.networks[1], mode=NetworkMode.ISOLATED, has_host=False)
    assert "without the host" not in graph.draw(lab, format)
    drawn = graph.draw(dataclasses.replace(lab, networks=(lab.networks[0], apart)), format)
    assert drawn.count("isolated, without the host") == 1
