"""Finding, listing and loading labs: what a task calls."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from stacklab import spec
from stacklab.errors import LabError, SpecError
from stacklab.model import lab_json
from stacklab.paths.project import PROJECT

LABS = PROJECT / "labs"


def test_names_are_the_files_sorted(tmp_path: Path) -> None:
    for file in ("b.yaml", "a.yaml", "lab.schema.json", "c.yml"):
        (tmp_path / file).touch()
    assert spec.names(tmp_path) == ("a", "b", "c")


def test_no_directory_holds_no_labs(tmp_path: Path) -> None:
    assert spec.names(tmp_path / "none") == ()


def test_a_lab_is_found_by_its_name() -> None:
    assert spec.find("contrail-3node", LABS) == LABS / "contrail-3node.yaml"


def test_an_unknown_lab_names_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    with pytest.raises(SpecError) as caught:
        spec.find("contrail-3nod", LABS)
    assert (
        str(caught.value) == "no lab 'contrail-3nod' in labs/ (did you mean contrail-3node?)\n"
        "  next: ./invoke lab.list"
    )
    assert caught.value.exit_code == 2


def test_a_lab_like_no_other_lists_all(tmp_path: Path) -> None:
    (tmp_path / "aio.yaml").touch()
    with pytest.raises(spec.UnknownLab, match=r"\(known: aio\)"):
        spec.find("zzzzzz", tmp_path)
    with pytest.raises(spec.UnknownLab, match=r"\(known: none\)"):
        spec.find("aio", tmp_path / "none")


@pytest.mark.parametrize(
    "name", ["../labs/mini-2node", "/etc/passwd", "", "mini-2node.yaml", "a\nb"]
)
def test_a_name_is_never_a_path(name: str) -> None:
    with pytest.raises(spec.UnknownLab) as caught:
        spec.find(name, LABS)
    assert "\n" not in caught.value.message


def test_problems_are_sorted_by_place_and_name_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab.yaml").write_text(
        "bogus: 1\nimage: debian-12\nnetworks: {}\nnodes: {}\nother: 2\n"
    )
    with pytest.raises(SpecError) as caught:
        spec.load(tmp_path / "lab.yaml")
    assert [problem.line for problem in caught.value.problems] == [1, 5]
    assert str(caught.value).startswith("lab.yaml:1:1: bogus: unknown key")
    assert caught.value.hint == "./invoke lab.validate lab.yaml"


def test_a_file_elsewhere_is_shown_as_it_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = tmp_path / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    assert spec.shown(tmp_path / "lab.yaml") == str(tmp_path / "lab.yaml")
    assert spec.shown(below / "lab.yaml") == "lab.yaml"


def test_a_missing_file_is_a_problem_of_the_spec(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read: No such file"):
        spec.load(tmp_path / "none.yaml")


def test_yaml_problems_and_wrong_values_are_told_together(tmp_path: Path) -> None:
    path = tmp_path / "lab.yaml"
    networks = "networks: {n: {cidr: 10.0.0.1/24, mode: nat}}\n"
    path.write_text(
        f"image: debian-12\nimage: x\n{networks}nodes: {{a: {{cpus: 0, nics: [{{network: m}}]}}}}\n"
    )
    with pytest.raises(SpecError) as caught:
        spec.load(path)
    paths = [problem.path for problem in caught.value.problems]
    assert paths == ["image", "networks.n.cidr", "nodes.a.cpus", "nodes.a.nics[0].network"]


@pytest.mark.parametrize("name", spec.names(LABS))
def test_a_lab_survives_json(name: str) -> None:
    lab = spec.load(spec.find(name, LABS))
    assert lab_json.from_dict(json.loads(json.dumps(lab_json.to_dict(lab)))) == lab


def test_a_lab_that_was_resolved_before_there_were_further_disks_has_none() -> None:
    lab = spec.load(LABS / "mini-2node.yaml")
    before = json.loads(json.dumps(lab_json.to_dict(lab)))
    for node in before["nodes"]:
        del node["disks"]
    assert lab_json.from_dict(before) == lab


def test_the_resolved_lab_holds_what_a_vagrantfile_cannot_compute() -> None:
    lab = lab_json.to_dict(spec.load(LABS / "mini-2node.yaml"))
    assert list(lab) == [
        "name",
        "description",
        "source",
        "images",
        "networks",
        "nodes",
        "stack",
        "checks",
        "checkpoints",
    ]
    assert lab["networks"] == [
        {
            "name": "net",
            "cidr": "192.168.151.0/24",
            "mode": "nat",
            "mtu": 1500,
            "bridge": "sl-6f9ccbefc6",
            "host_address": "192.168.151.1",
            "has_host": True,
            "opens_host": False,
        }
    ]
    nodes = lab["nodes"]
    assert isinstance(nodes, list)
    assert nodes[0] == {
        "name": "node1",
        "role": "node",
        "cpus": 1,
        "memory_mib": 512,
        "disk_mib": 49152,
        "nics": [
            {
                "network": "net",
                "device": "eth0",
                "address": "192.168.151.11",
                "prefix": 24,
                "netmask": "255.255.255.0",
                "mac": "52:54:00:0d:c9:43",
                "mtu": 1500,
                "impairment": {"delay_ms": 0.0, "loss_percent": 0.0, "rate_kbit": 0},
            }
        ],
        "disks": [],
        "kind": "vm",
        "is_privileged": True,
    }


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", 5),
        ("nodes", {}),
        ("networks", ["x"]),
        ("stack", None),
        ("checks", {}),
        ("images", "x"),
        ("source", None),
    ],
)
def test_a_damaged_record_is_an_expected_failure(key: str, value: object) -> None:
    resolved: dict[str, object] = dict(lab_json.to_dict(spec.load(LABS / "mini-2node.yaml")))
    resolved[key] = value
    with pytest.raises(LabError, match="not a resolved lab"):
        lab_json.from_dict(resolved)


def test_who_reads_only_json_does_not_wait_for_pydantic_and_yaml() -> None:
    of_spec = ("spec/__init__.py", "spec/lab_files.py", "spec/lab_search.py")
    for file in (*of_spec, "settings.py", "files.py", "model/lab_json.py", "codec.py"):
        tree = ast.parse((PROJECT / "stacklab" / file).read_text())
        modules = {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
        assert modules <= {
            "__future__",
            "collections.abc",
            "dataclasses",
            "enum",
            "ipaddress",
            "pathlib",
            "typing",
            "contextlib",
            "stacklab",
            "stacklab.codec",
            "stacklab.errors",
            "stacklab.files",
            "stacklab.model.lab",
            "stacklab.spec",
            "stacklab.model.lab_json",
            "stacklab.paths",
            "stacklab.paths.project",
            "stacklab.spec.lab_files",
            "stacklab.spec.lab_search",
            "stacklab.words",
        }


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"colour": "red"}, "colour is not a known field"),
        ({"name": None}, "name is not text"),
        ({"images": ["debian-12", 5]}, "images[1] is not text"),
        ({"networks": [{"name": "net"}]}, "networks[0].cidr is missing"),
        ({"nodes": "node1"}, "nodes is not a list"),
        ({"checks": {"retries": True}}, "checks.retries is not a whole number"),
        ({"stack": {"installer": "puppet"}}, "stack.installer is not one of none, contrail"),
        ({"stack": {"refs": [["nova"]]}}, "stack.refs[0] is not a list of 2"),
    ],
)
def test_a_damaged_record_is_told_with_the_path_of_the_field(
    change: dict[str, object], problem: str
) -> None:
    resolved: dict[str, object] = dict(lab_json.to_dict(spec.load(LABS / "mini-2node.yaml")))
    for key, value in change.items():
        whole = resolved.get(key)
        merged = (
            {**whole, **value} if isinstance(whole, dict) and isinstance(value, dict) else value
        )
        resolved[key] = merged
    with pytest.raises(LabError, match=re.escape(f"not a resolved lab: {problem}")):
        lab_json.from_dict(resolved)


def test_a_lab_of_an_earlier_version_is_read_with_the_defaults_of_what_came_since() -> None:
    lab = spec.load(LABS / "mini-2node.yaml")
    resolved = json.loads(lab_json.to_json(lab))
    del resolved["networks"][0]["has_host"]
    del resolved["networks"][0]["opens_host"]
    del resolved["checks"]["custom"]
    for node in resolved["nodes"]:
        del node["nics"][0]["impairment"]
    for key in ("kolla_mode", "openstack", "dev_mode"):
        del resolved["stack"][key]
    assert lab_json.from_dict(resolved) == lab


def test_the_headline_of_anybody_s_file_controls_no_terminal(tmp_path: Path) -> None:
    path = tmp_path / "lab.yaml"
    path.write_text("description: a\u202e\u2066b\x1b[2Jc\nimage: x\n")
    assert spec.headline(path) == "ab[2Jc"
