"""What a node reaches outside, and what a closed one must not."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stacklab.checks.family import Facts, Tried
from stacklab.checks.reach import outside_family, outside_places
from stacklab.checks.result import CheckKind, CheckStatus, Reason
from stacklab.model.lab import Lab, NetworkMode
from tests.contract.isolation.segments import LAB, WORLD, Segments, needs_namespaces

pytestmark = needs_namespaces


def make_closed() -> Lab:
    networks = tuple(
        dataclasses.replace(network, mode=NetworkMode.ISOLATED) for network in LAB.networks
    )
    return dataclasses.replace(LAB, networks=networks)


def test_a_closed_node_that_gets_out_is_found_out(net: Segments) -> None:
    tried = {"mirror.invalid:80": Tried(address=WORLD)}
    net.do("host", "iptables -I FORWARD -i sl-trio0 -o br-out -j REJECT")
    results = net.judged(outside_family, "compute", Facts(tried=tried), make_closed())
    assert {key: result.status for key, result in results.items()} == {
        "closed": CheckStatus.PASSED,
        "closed dns": CheckStatus.PASSED,
    }
    net.do("host", "iptables -D FORWARD -i sl-trio0 -o br-out -j REJECT")
    result = net.judged(outside_family, "compute", Facts(tried=tried), make_closed())["closed"]
    assert (result.status, result.reason) == (CheckStatus.FAILED, Reason.REACHED)
    assert f"{WORLD}:80" in result.detail


def reaching(*places: str) -> Lab:
    """The same lab with its packages from the first place."""
    stack = dataclasses.replace(
        LAB.stack, mirrors=dataclasses.replace(LAB.stack.mirrors, apt=f"http://{places[0]}/debian")
    )
    return dataclasses.replace(LAB, stack=stack)


def test_a_node_reaches_what_it_needs_or_says_how_it_failed(net: Segments) -> None:
    facts = Facts(tried={f"{WORLD}:{port}": Tried(address=WORLD) for port in (80, 81)})
    assert net.judged(outside_family, "compute", facts, reaching(f"{WORLD}:80"))[
        f"reach {WORLD}:80"
    ].is_passed
    refused = net.judged(outside_family, "compute", facts, reaching(f"{WORLD}:81"))[
        f"reach {WORLD}:81"
    ]
    assert (refused.status, refused.reason) == (CheckStatus.FAILED, Reason.REFUSED)
    net.do("host", "iptables -I FORWARD -i sl-trio0 -j DROP")
    started = time.monotonic()
    silent = net.judged(outside_family, "compute", facts, reaching(f"{WORLD}:80"))[
        f"reach {WORLD}:80"
    ]
    assert (silent.status, silent.reason) == (CheckStatus.FAILED, Reason.TIMED_OUT)
    waited_s = time.monotonic() - started
    started = time.monotonic()
    closed_in = Facts(tried={f"{WORLD}:80": Tried(why_not="timed out", is_timed_out=True)})
    silent = net.judged(outside_family, "compute", closed_in, reaching(f"{WORLD}:80"))[
        f"reach {WORLD}:80"
    ]
    assert silent.status is CheckStatus.WARNED
    assert time.monotonic() - started < waited_s, "what the host does not reach is tried but once"


def test_the_host_tries_all_places_at_once_and_waits_for_none(net: Segments) -> None:
    silent = [f"10.77.0.{number}:22" for number in range(100, 120)]
    places = [f"{WORLD}:80", f"{WORLD}:81", *silent, "name.invalid:80", "nonsense"]
    code = (
        "import json, time; from stacklab.checks import host; started = time.monotonic();"
        f"found = host.dial_all({places}, 1.5);"
        "told = [[t.address, t.why_not] for t in found.values()];"
        "print(json.dumps([*told, time.monotonic() - started]))"
    )
    net.do("host", "iptables -I OUTPUT -d 10.77.0.96/27 -j DROP")
    argv = ["ip", "netns", "exec", net.names["host"], sys.executable, "-c", code]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    *found, took = json.loads(done.stdout)
    assert found[:2] == [[WORLD, ""], [WORLD, "refused"]]
    assert [why for _, why in found[2:-2]] == ["timed out"] * len(silent)
    assert [bool(why) for _, why in found[-2:]] == [True, True]
    assert took < 1.5 * len(silent) / 2


SOURCES = """\
# deb http://old.example.org/debian x main
deb [arch=amd64 signed-by=/x] http://packages.invalid:8080/debian x main
deb-src https://other.invalid/debian x main
"""


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (SOURCES, "packages.invalid:8080"),
        ("deb https://user:secret@packages.invalid/debian x main\n", "packages.invalid:443"),
        ("Types: deb\nURIs: http://packages.invalid/debian\n", "packages.invalid:80"),
        ("[base]\nbaseurl=https://packages.invalid/$releasever\n", "packages.invalid:443"),
        ("deb cdrom:[disk]/ x main\n", ""),
    ],
)
def test_the_mirror_in_a_node_s_sources_is_found(tmp_path: Path, text: str, place: str) -> None:
    (tmp_path / "sources.list").write_text(text)
    checks = [
        check
        for check in outside_family.expected(LAB)
        if check.node == "compute" and check.kind is CheckKind.DNS
    ]
    (part,) = outside_family.parts(LAB, LAB.node("compute"), checks, Facts())
    shell = part.shell.replace("/etc/apt", str(tmp_path)).replace(
        "/etc/yum.repos.d", str(tmp_path / "none")
    )
    done = subprocess.run(
        ["sh", "-c", shell], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode in (0, 1)
    found = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("packages ")]
    assert found == ([place] if place else [])
    assert (f"dns {outside_places.name_of(place)} 2" in done.stdout) == bool(place)
