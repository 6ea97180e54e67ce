from __future__ import annotations

import dataclasses
import os
import re
import stat
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from stacklab.errors import LabError
from stacklab.model.lab import NO_IMPAIRMENT, Disk, Impairment, Lab, NetworkMode, Size
from stacklab.spec.form import quantities
from stacklab.views.drawing import graph, graph_text
from stacklab.views.drawing.elements import LETTER
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


def with_disks() -> Lab:
    """A lab whose nodes have a disk with the longest text each, and share another."""
    disks = (
        Disk(name="disk1", size=Size.parse("8TiB"), serial="12345678901234567890"),
        Disk(name="a2345678901234567890", size=Size(1), serial="q", is_shared=True),
    )
    lab = make_lab()
    nodes = tuple(dataclasses.replace(node, disks=disks) for node in lab.nodes)
    return dataclasses.replace(lab, nodes=nodes)


@pytest.mark.parametrize("form", ["svg", "mermaid", "dot"])
def test_further_disks_are_in_their_nodes(form: str) -> None:
    drawn = graph.draw(with_disks(), form)
    assert drawn.count("12345678901234567890 8192GiB") == 3
    assert drawn.count("shared a2345678901234567890") == 3


def test_further_disks_reach_over_no_edge_of_their_node() -> None:
    root = ET.fromstring(graph.svg(with_disks()))
    for group in root.iter(f"{SVG}g"):
        box = group.find(f"{SVG}rect")
        assert box is not None
        left, top, width, height = (int(box.get(k, "")) for k in ("x", "y", "width", "height"))
        for text in group.iter(f"{SVG}text"):
            assert int(text.get("x", "")) + len(text.text or "") * LETTER <= left + width
            assert top < int(text.get("y", "")) < top + height


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
    graph.write_drawing(
        "x", tmp_path / "device"
    )  # as /dev/null and /dev/stdout: never replaced, least of all by root
    assert (os.read(reader, 10), stat.S_ISFIFO((tmp_path / "device").stat().st_mode)) == (
        b"x",
        True,
    )
    os.close(reader)
    graph.write_drawing("x", tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_text() == "x"
    (tmp_path / "file").touch()
    with pytest.raises(LabError, match=r"file/a\.svg"):
        graph.write_drawing("x", tmp_path / "file" / "a.svg")


@pytest.mark.parametrize("format", ["svg", "mermaid", "dot"])
def test_a_network_without_the_host_says_so(format: str) -> None:
    lab = make_lab()
    apart = dataclasses.replace(lab.networks[1], mode=NetworkMode.ISOLATED, has_host=False)
    assert "without the host" not in graph.draw(lab, format)
    drawn = graph.draw(dataclasses.replace(lab, networks=(lab.networks[0], apart)), format)
    assert drawn.count("isolated, without the host") == 1


SLOW = Impairment(delay_ms=20, loss_percent=1, rate_kbit=10_000)


def impaired(*found: Impairment, nodes: int = 3) -> Lab:
    """The lab with these on its nodes' NICs on net1, in their order.

    The last of them on all the rest.
    """
    lab = many(nodes)
    every = [*found, *[found[-1]] * (nodes - len(found))]
    return dataclasses.replace(
        lab,
        nodes=tuple(
            dataclasses.replace(
                node, nics=(node.nics[0], dataclasses.replace(node.nics[1], impairment=each))
            )
            for node, each in zip(lab.nodes, every, strict=True)
        ),
    )


@pytest.mark.parametrize(
    ("impairment", "text"),
    [
        (SLOW, "20ms 1% 10mbit"),
        (Impairment(delay_ms=1500), "1.5s"),
        (Impairment(delay_ms=0.5, loss_percent=0.25), "0.5ms 0.25%"),
        (Impairment(rate_kbit=512), "512kbit"),
        (Impairment(rate_kbit=2_500_000), "2.5gbit"),
        (Impairment(rate_kbit=1_234_567), "1.234567gbit"),
        (Impairment(loss_percent=100), "100%"),
        (NO_IMPAIRMENT, "unimpaired"),
    ],
)
def test_an_impairment_is_told_as_a_spec_has_it(impairment: Impairment, text: str) -> None:
    assert graph_text.impairment_text(impairment) == text
    if impairment:
        words = {"%": quantities.read_loss, "s": quantities.read_delay, "t": quantities.read_rate}
        found = {word: words[word[-1]](word) for word in text.split()}
        assert sorted(found.values()) == sorted(filter(None, dataclasses.astuple(impairment)))


@pytest.mark.parametrize("format", ["svg", "mermaid", "dot"])
def test_what_all_on_a_network_declare_stands_on_it_once(format: str) -> None:
    drawn = graph.draw(impaired(SLOW), format)
    (line,) = [line for line in drawn.splitlines() if "20ms" in line]
    assert "10.20.0.0/24" in line
    assert line.count("20ms 1% 10mbit") == 1
    assert "unimpaired" not in drawn


@pytest.mark.parametrize("format", ["svg", "mermaid", "dot"])
def test_a_nic_that_is_otherwise_says_so_itself(format: str) -> None:
    own = Impairment(delay_ms=20, loss_percent=1, rate_kbit=2000)
    drawn = graph.draw(impaired(SLOW, own, SLOW), format)
    assert (drawn.count("20ms 1% 10mbit"), drawn.count("20ms 1% 2mbit")) == (1, 1)
    assert graph.draw(impaired(SLOW, NO_IMPAIRMENT, SLOW), format).count("unimpaired") == 1


@pytest.mark.parametrize("format", ["mermaid", "dot"])
def test_the_label_of_a_nic_is_on_its_own_edge(format: str) -> None:
    drawn = graph.draw(impaired(NO_IMPAIRMENT, SLOW, NO_IMPAIRMENT), format)
    (line,) = [line for line in drawn.splitlines() if "20ms" in line]
    assert "node_n1" in line
    assert "net_net1" in line


def test_where_no_more_are_slow_than_not_the_network_is_not_called_so() -> None:
    """One slow end of two, whichever it is.

    Nobody is "unimpaired", for nothing is declared there.
    """
    for found in ((SLOW, NO_IMPAIRMENT), (NO_IMPAIRMENT, SLOW)):
        drawn = graph_text.mermaid(impaired(*found, nodes=2))
        (line,) = [line for line in drawn.splitlines() if "20ms" in line]
        assert "---|" in line
        assert "unimpaired" not in drawn


def test_nothing_is_said_of_what_declares_nothing() -> None:
    for form in graph.FORMATS:
        assert "unimpaired" not in graph.draw(make_lab(), form)


def test_labels_reach_over_no_edge_and_are_drawn_over_the_lines() -> None:
    found = Impairment(delay_ms=12345, loss_percent=99.99, rate_kbit=234_567)
    for lab in (
        impaired(found, nodes=1),
        impaired(found, SLOW, nodes=2),
        impaired(found, SLOW, found, nodes=4),
    ):
        root = ET.fromstring(graph.svg(lab))
        every = list(root.iter())
        last_line = max(at for at, element in enumerate(every) if element.tag == f"{SVG}line")
        labels = [(at, each) for at, each in enumerate(every) if "mbit" in (each.text or "")]
        assert labels
        for at, label in labels:
            assert at > last_line
            right = float(label.get("x", 0)) + len(label.text or "") * LETTER
            assert right <= int(root.get("width") or 0)


def test_the_label_of_a_node_s_last_nic_of_many_stays_with_its_node() -> None:
    lab = make_lab(
        nodes=("a", "b", "c", "d"), cidrs=tuple(f"10.{number}.0.0/24" for number in range(20, 29))
    )
    found = Impairment(delay_ms=12345, loss_percent=99.99, rate_kbit=234_567)
    *others, last = lab.nodes
    nics = (*last.nics[:-1], dataclasses.replace(last.nics[-1], impairment=found))
    lab = dataclasses.replace(lab, nodes=(*others, dataclasses.replace(last, nics=nics)))
    root = ET.fromstring(graph.svg(lab))
    (label,) = [
        each for each in root.iter(f"{SVG}text") if each.text == graph_text.impairment_text(found)
    ]
    box = list(root.iter(f"{SVG}rect"))[-1]
    left, width = float(box.get("x", 0)), float(box.get("width", 0))
    assert left <= float(label.get("x", 0)) <= left + width - len(label.text or "") * LETTER
