"""What holds for every spec that can be written, and for every file that is no spec."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stacklab.errors import Problem, SpecError
from stacklab.model.checks import CustomCheck, CustomKind
from stacklab.model.lab import Lab
from stacklab.model.lab_json import from_dict, to_dict
from stacklab.paths.project import PROJECT
from stacklab.spec import load

SEED = (PROJECT / "labs" / "contrail-3node.yaml").read_text()
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

Nodes = dict[str, dict[str, object]]


def load_text(text: str | bytes) -> Lab:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "lab.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
        return load(path)


def load_spec(networks: dict[str, object], nodes: Nodes) -> Lab:
    # JSON is YAML; and quoting every number is allowed.
    return load_text(json.dumps({"image": "debian-12", "networks": networks, "nodes": nodes}))


# Of a network or of a NIC; the host must log in, so nothing loses all.
impairments = st.fixed_dictionaries(
    {},
    optional={
        "delay": st.sampled_from(["0ms", "20ms", "1.5s"]),
        "loss": st.sampled_from(["0%", "0.25%", "99%"]),
        "rate": st.sampled_from(["none", "32kbit", "2.5mbit", "10gbit"]),
    },
)


@st.composite
def networks_of_labs(draw: st.DrawFn) -> dict[str, object]:
    return {
        f"net{index}": {
            "cidr": str(IPv4Network((f"10.{index * 16}.0.0", draw(st.integers(12, 24))))),
            "mode": draw(st.sampled_from(["nat", "isolated"])),
            "mtu": draw(st.sampled_from([576, 1500, 9216])),
        }
        | draw(impairments)
        for index in range(draw(st.integers(1, 4)))
    }


@st.composite
def nodes_of_labs(draw: st.DrawFn, networks: dict[str, object]) -> Nodes:
    nodes: Nodes = {}
    for index in range(draw(st.integers(1, 5))):
        order = draw(st.permutations(sorted(networks)))
        node: dict[str, object] = {
            "nics": [
                {"network": name} | draw(impairments)
                for name in order[: draw(st.integers(1, len(order)))]
            ],
            "role": draw(st.sampled_from(["controller", "compute", "node"])),
            "memory": draw(st.sampled_from(["128MiB", "1.5GiB"])),
        }
        if draw(st.booleans()):
            node["count"] = draw(st.integers(1, 6))
        nodes[f"n{'abcdef'[index]}"] = node
    return nodes


@st.composite
def specs(draw: st.DrawFn) -> tuple[dict[str, object], Nodes]:
    networks = draw(networks_of_labs())
    return networks, draw(nodes_of_labs(networks))


@quick
@given(specs())
def test_addresses_lie_in_their_networks_and_nothing_is_given_twice(
    written: tuple[dict[str, object], Nodes],
) -> None:
    lab = load_spec(*written)
    nics = [nic for node in lab.nodes for nic in node.nics]
    assert len({nic.address.ip for nic in nics}) == len(nics)
    assert len({nic.mac for nic in nics}) == len(nics)
    assert len({network.bridge for network in lab.networks}) == len(lab.networks)
    for nic in nics:
        network = lab.network(nic.network)
        assert nic.address.network == network.cidr
        assert nic.address.ip not in (network.host_address, network.cidr[0], network.cidr[-1])
        assert nic.mtu == network.mtu


@quick
@given(specs())
def test_the_same_spec_is_the_same_lab_each_time(written: tuple[dict[str, object], Nodes]) -> None:
    one, again = to_dict(load_spec(*written)), to_dict(load_spec(*written))
    del one["source"], again["source"]
    assert one == again


@quick
@given(specs(), st.data())
def test_a_node_added_at_the_end_moves_nobody(
    written: tuple[dict[str, object], Nodes], data: st.DataObject
) -> None:
    networks, nodes = written
    more = {f"late-{name}": node for name, node in data.draw(nodes_of_labs(networks)).items()}
    before, after = load_spec(networks, nodes), load_spec(networks, nodes | more)
    assert after.nodes[: len(before.nodes)] == before.nodes
    assert after.networks == before.networks


@quick
@given(specs(), st.integers(2, 30))
def test_a_fixed_address_at_the_end_moves_nobody_or_is_refused(
    written: tuple[dict[str, object], Nodes], offset: int
) -> None:
    networks, nodes = written
    before = load_spec(networks, nodes)
    address = str(before.networks[0].cidr[offset])
    late: Nodes = {"late": {"nics": [{"network": "net0", "address": address}]}}
    taken = address in {str(nic.address.ip) for node in before.nodes for nic in node.nics}
    if taken:
        with pytest.raises(SpecError, match="already"):
            load_spec(networks, nodes | late)
    else:
        assert load_spec(networks, nodes | late).nodes[:-1] == before.nodes


@quick
@given(specs())
def test_the_order_of_a_mapping_within_a_node_means_nothing(
    written: tuple[dict[str, object], Nodes],
) -> None:
    networks, nodes = written
    turned = {name: dict(reversed(node.items())) for name, node in nodes.items()}
    assert load_spec(networks, turned).nodes == load_spec(networks, nodes).nodes


@quick
@given(specs())
def test_json_holds_all_of_a_lab(written: tuple[dict[str, object], Nodes]) -> None:
    lab = load_spec(*written)
    custom = CustomCheck(
        name="all",
        kind=CustomKind.HTTP,
        nodes=("na", "nb"),
        command="c",
        exit_code=3,
        host="h",
        port=4,
        url="u",
        http_status=5,
        text="t",
        retries=6,
        interval_s=7.5,
        timeout_s=8.5,
        is_warning=True,
    )
    lab = dataclasses.replace(
        lab,
        networks=(dataclasses.replace(lab.networks[0], has_host=False), *lab.networks[1:]),
        checks=dataclasses.replace(lab.checks, custom=(custom,)),
    )
    assert from_dict(json.loads(json.dumps(to_dict(lab)))) == lab


def spec_error_or_lab(text: str | bytes) -> None:
    problems: tuple[Problem, ...] | None = None
    try:
        load_text(text)
    except SpecError as error:
        problems = error.problems
    assert problems != ()
    for problem in problems or ():
        line = str(problem)
        assert "\n" not in line
        assert line.encode("utf-8")  # no lone surrogate, which no terminal takes


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_scrambled_lab_is_a_lab_or_a_spec_error(data: st.DataObject) -> None:
    lines = SEED.splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(["drop", "double", "swap", "indent", "dedent", "insert"])):
            case "drop":
                lines[at] = ""
            case "double":
                lines.insert(at, lines[at])
            case "swap":
                lines[at], lines[-1] = lines[-1], lines[at]
            case "indent":
                lines[at] = "  " + lines[at]
            case "dedent":
                lines[at] = lines[at].removeprefix("  ")
            case "insert":
                cut = data.draw(st.integers(0, len(lines[at])))
                added = data.draw(
                    st.text(
                        st.sampled_from(" \t:-[]{}&*!|>'\"%@`#,?<=~0a\\\u2028\ud800\x07"),
                        max_size=4,
                    )
                )
                lines[at] = lines[at][:cut] + added + lines[at][cut:]
    spec_error_or_lab("\n".join(lines))


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace"))
)
def test_any_bytes_are_a_spec_error(raw: bytes) -> None:
    spec_error_or_lab(raw)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_value_at_any_place_is_a_lab_or_a_spec_error(data: st.DataObject) -> None:
    lab: dict[str, object] = {
        "image": ["debian-12"],
        "networks": {"net": {"cidr": "10.0.0.0/24", "mode": "nat", "delay": "1ms"}},
        "nodes": {
            "a": {"nics": [{"network": "net"}]},
            "b": {"count": 2, "nics": [{"network": "net"}]},
        },
        "stack": {"installer": "none"},
        "checks": {
            "retries": 2,
            "custom": [{"name": "a", "command": "true", "nodes": ["a"]}, {"name": "b", "port": 22}],
        },
    }
    owner: object = lab
    while True:
        key = data.draw(
            st.sampled_from(list(owner) if isinstance(owner, dict) else list(range(len(owner))))
        )  # type: ignore[arg-type]
        inner = owner[key]  # type: ignore[index]
        if not isinstance(inner, dict | list) or data.draw(st.booleans()):
            owner[key] = data.draw(VALUES)  # type: ignore[index]
            break
        owner = inner
    spec_error_or_lab(json.dumps(lab))
