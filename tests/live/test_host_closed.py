"""What listens on this host, and nodes of other labs: closed to a lab's nodes, and proved so."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacklab.tools.network import iptables
from tests.live.labs import MINI, as_kind
from tests.live.remains import host_firewall, left_of
from tests.live.typed import Stacklab

pytestmark = pytest.mark.live

SPEC = """\
description: a lab beside the host's services
image: debian-12
networks:
  net: {{cidr: 192.168.{number}.0/24, mode: nat{more}}}
nodes:
  node1: {{memory: 512MiB, nics: [{{network: net}}]}}
"""
NEIGHBOUR = "neighbour"


class Labs:
    """Two labs of one node each, MINI and NEIGHBOUR, by specs of their own."""

    def __init__(self, stacklab: Stacklab, directory: Path, kind: str) -> None:
        self.stacklab = stacklab
        self.directory = directory
        self.kind = kind

    def up(self, lab: str, number: int = 151, more: str = "") -> str:
        """Bring it up, and return what it said."""
        path = self.directory / f"{lab}.yaml"
        path.write_text(SPEC.format(number=number, more=more))
        return self.stacklab.ok("lab.up", str(path), "--yes", *as_kind(self.kind)).out

    def checks(self) -> dict[str, tuple[str, str]]:
        """Status and detail of MINI's checks of layer `host`, by kind."""
        report = self.directory / "report.json"
        self.stacklab.run(
            "lab.check", str(self.directory / f"{MINI}.yaml"), "--layer", "host", f"--json={report}"
        )
        found = json.loads(report.read_text())["checks"]
        return {each["kind"]: (each["status"], each["detail"]) for each in found}

    def reaches(self, port: int) -> bool:
        """Whether a program on MINI's node gets through to the host by TCP."""
        script = f"timeout 5 bash -c 'exec 3<>/dev/tcp/192.168.151.1/{port}' && echo through"
        return "through" in self.stacklab.on(MINI, "node1", f"{script} || true")

    def destroy(self) -> None:
        for lab in (MINI, NEIGHBOUR):
            path = self.directory / f"{lab}.yaml"
            if path.exists():
                self.stacklab.ok("lab.destroy", str(path), "--purge")
            assert left_of(lab) == []


@pytest.fixture
def labs(stacklab: Stacklab, mini_absent: str, kind: str, tmp_path: Path) -> Iterator[Labs]:
    made = Labs(stacklab, tmp_path, kind)
    yield made
    made.destroy()


@pytest.fixture
def port() -> Iterator[int]:
    """A service of this host, at all of its addresses."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        yield server.getsockname()[1]


def test_the_host_is_closed_until_the_spec_opens_it(labs: Labs, port: int) -> None:
    labs.up(MINI)
    assert not labs.reaches(port)
    assert labs.checks()["host-services"][0] == "passed"
    # As after a reboot of this host, or an administrator's flush.
    chain = iptables.chain_of(MINI)
    subprocess.run(("iptables", "-D", "INPUT", "-j", chain), check=True)
    assert labs.reaches(port)
    status, detail = labs.checks()["host-services"]
    assert status == "failed"
    assert "192.168.151.1:" in detail
    labs.up(MINI)
    assert not labs.reaches(port)
    labs.up(MINI, more=", host_services: true")
    assert labs.reaches(port)
    assert "host-services" not in labs.checks()
    assert not [line for line in host_firewall() if chain in line]


@contextlib.contextmanager
def forwarding() -> Iterator[None]:
    """Let this host pass what libvirt would refuse."""
    with contextlib.ExitStack() as undoing:
        for way in ("-s", "-d"):
            rule = ("FORWARD", way, "192.168.151.0/24", "-j", "ACCEPT")
            subprocess.run(("iptables", "-I", *rule), check=True)
            undoing.callback(subprocess.run, ("iptables", "-D", *rule), check=True)
        yield


def test_another_lab_is_not_reached_and_a_host_that_lets_it_be_is_found_out(labs: Labs) -> None:
    labs.up(MINI)
    assert "no other lab" in labs.checks()["other-labs"][1]
    labs.up(NEIGHBOUR, number=152)
    status, detail = labs.checks()["other-labs"]
    assert (status, f"node1 of {NEIGHBOUR}" in detail) == ("passed", True)
    with forwarding():
        status, detail = labs.checks()["other-labs"]
    assert (status, f"node1 of {NEIGHBOUR} (192.168.152.11)" in detail) == ("failed", True)
