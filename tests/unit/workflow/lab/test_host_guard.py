from __future__ import annotations

import dataclasses
import socket
import threading

import pytest

from stacklab.errors import CommandFailed, ProviderError, ToolNotFound
from stacklab.model.lab import Lab
from stacklab.model.stack import Mirrors, Proxy
from stacklab.process import Command, Result
from stacklab.tools.network import iptables
from stacklab.workflow.lab import ending, host_guard
from tests.unit.checks.fake_lab import make_lab
from tests.unit.workflow.fake_host import FakeHost

LAB = make_lab()
CHAIN = iptables.chain_of(LAB.name)
LISTED = f"-P INPUT ACCEPT\n-N {CHAIN}\n-A INPUT -j {CHAIN}\n"
REFUSED = CommandFailed("sudo: a password is required\nand more")


@pytest.fixture
def host(host: FakeHost) -> FakeHost:
    host.lab().root.mkdir(parents=True, exist_ok=True)
    return host


def applied(host: FakeHost) -> list[str]:
    """What iptables-restore was given, call by call."""
    found = [command for command in host.runner.commands if "iptables-restore" in command.argv]
    return [(command.stdin or b"").decode() for command in found]


def close(host: FakeHost, lab: Lab = LAB) -> None:
    host_guard.close(host.context, lab, host.lab())


def forget(host: FakeHost) -> None:
    host_guard.forget(host.context, host.lab())


def opened(*names: str) -> Lab:
    networks = (
        dataclasses.replace(one, opens_host=one.name in names or not names) for one in LAB.networks
    )
    return dataclasses.replace(LAB, networks=tuple(networks))


def test_the_host_is_closed_to_every_network_on_which_it_is(host: FakeHost) -> None:
    close(host)
    (rules,) = applied(host)
    for network in LAB.networks:
        assert f"-i {network.bridge} -j REJECT" in rules
    assert f"-I INPUT -j {CHAIN}" in rules
    assert host_guard.why_open(host.lab()) == ""


def test_a_network_without_the_host_gets_nothing_through(host: FakeHost) -> None:
    first, second = LAB.networks
    lab = dataclasses.replace(LAB, networks=(first, dataclasses.replace(second, has_host=False)))
    close(host, lab)
    assert f"-i {second.bridge} -j DROP" in applied(host)[0]


def test_a_network_that_opens_the_host_has_no_rule(host: FakeHost) -> None:
    first, *others = LAB.networks
    close(host, opened(first.name))
    (rules,) = applied(host)
    assert f"-i {first.bridge} " not in rules
    assert all(f"-i {one.bridge} -j REJECT" in rules for one in others)


def test_a_lab_that_opens_all_networks_loses_the_rules_it_had(host: FakeHost) -> None:
    host.runner.on("iptables", stdout=LISTED)
    close(host, opened())
    assert applied(host) == [iptables.remove(LAB.name, LISTED)]


def test_who_may_not_change_the_firewall_is_told_and_the_checks_know_why(host: FakeHost) -> None:
    host.runner.on("iptables-restore", answer=REFUSED)
    close(host)
    (note,) = [text for _row, text in host.listener.heard if "is open to" in text]
    assert "host_services: true" in note
    assert host_guard.why_open(host.lab()) == "sudo: a password is required"
    host.runner.on("iptables-restore")
    close(host)
    assert host_guard.why_open(host.lab()) == ""


def test_of_a_lab_that_nobody_tried_to_close_nothing_is_said(host: FakeHost) -> None:
    assert host_guard.why_open(host.lab()) == ""


def test_forgetting_what_was_never_there_changes_nothing(host: FakeHost) -> None:
    forget(host)
    assert applied(host) == []


def test_forgetting_removes_the_rules_and_all_ways_to_them(host: FakeHost) -> None:
    close(host)
    host.runner.on("iptables", stdout=LISTED)
    forget(host)
    assert applied(host)[-1] == iptables.remove(LAB.name, LISTED)
    assert not host.lab().host_guard.exists()


@pytest.mark.parametrize("trouble", [REFUSED, ToolNotFound("iptables")], ids=["sudo", "absent"])
def test_who_could_never_close_the_host_has_nothing_to_forget(
    host: FakeHost, trouble: BaseException
) -> None:
    host.runner.on("iptables", answer=trouble).on("iptables-restore", answer=trouble)
    close(host)
    forget(host)


@pytest.mark.parametrize("program", ["iptables", "iptables-restore"])
def test_rules_that_may_be_left_are_told_with_what_to_type(host: FakeHost, program: str) -> None:
    close(host)
    host.runner.on("iptables", stdout=LISTED).on(program, answer=REFUSED)
    with pytest.raises(ProviderError, match="still be in this host's firewall") as raised:
        forget(host)
    assert CHAIN in (raised.value.hint or "")
    assert host.lab().host_guard.exists(), "the next lab.destroy has to look again"


# --- what stays open


def know(monkeypatch: pytest.MonkeyPatch, **addresses: str) -> None:
    """Have these names, and every address, be known; of underscores in names dots are made."""
    known = {name.replace("_", "."): address for name, address in addresses.items()}

    def look_up(name: str, *_rest: object) -> list[tuple[object, ...]]:
        if name not in known and not name[0].isdigit():
            raise socket.gaierror(name)
        return [(None, None, None, "", (known.get(name, name), 0))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


def places(host: FakeHost, lab: Lab = LAB) -> list[str]:
    return [str(place) for place in host_guard.places_on_host(host.context, lab)]


def test_mirrors_that_this_host_serves_stay_open_by_name_or_address(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = LAB.networks[0].host_address  # the host does not have it yet
    wanted = (
        "127.0.0.1:3142",
        "cache.example.org:80",
        "mirror.example.org:80",
        f"{own}:8080",
        "nobody.example.org:80",
    )
    monkeypatch.setattr(host_guard, "package_mirrors", lambda: wanted)
    know(monkeypatch, cache_example_org="127.0.0.1", mirror_example_org="203.0.113.80")
    # 203.0.113.80 is somebody else's: packets to it do not end at this host.
    assert places(host) == ["127.0.0.1:3142", "127.0.0.1:80", f"{own}:8080"]


def test_the_lab_s_own_mirror_of_git_and_its_proxies_stay_open_side_by_side(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = LAB.networks[0].host_address
    stack = dataclasses.replace(
        LAB.stack,
        mirrors=Mirrors(git_from="/srv/git", pip=f"http://{own}:8081/simple"),
        proxy=Proxy(http=f"http://{own}:3128", https=f"http://{own}:3129"),
    )
    know(monkeypatch)
    found = places(host, dataclasses.replace(LAB, stack=stack))
    assert {f"{own}:{port}" for port in (9418, 8081, 3128, 3129)} <= set(found)


def test_a_name_server_that_is_silent_holds_a_lab_up_for_a_moment_and_is_told(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_guard, "package_mirrors", lambda: ("slow.example.org:80",))
    monkeypatch.setattr(host_guard, "_NAMES_S", 0.1)
    is_over = threading.Event()

    def look_up(_name: str, *_rest: object) -> list[tuple[object, ...]]:
        is_over.wait(5)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    assert places(host) == []
    is_over.set()
    assert any("who slow.example.org is" in text for _row, text in host.listener.heard)


# --- in a lab's life


def test_lab_up_closes_the_host_before_a_node_runs_and_destroy_forgets_it(host: FakeHost) -> None:
    host.stock()
    ups_when_closed: list[int] = []

    def fill(_command: Command) -> Result:
        ups_when_closed.append(len(host.ups))
        return Result(exit_code=0)

    host.runner.on("iptables-restore", answer=fill)
    host.up()
    assert ups_when_closed == [0]
    assert host.ups
    host.runner.on("iptables", stdout=LISTED)
    ending.destroy(host.context, LAB.name)
    assert applied(host)[-1] == iptables.remove(LAB.name, LISTED)


def test_a_lab_whose_rules_stay_keeps_its_record(host: FakeHost) -> None:
    host.stock()
    host.up()
    host.runner.on("iptables", answer=REFUSED)
    with pytest.raises(ProviderError, match="firewall"):
        ending.destroy(host.context, LAB.name)
    assert host.lab().record.exists()
    host.runner.on("iptables")
    assert ending.destroy(host.context, LAB.name)
