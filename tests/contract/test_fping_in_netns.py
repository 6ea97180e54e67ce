"""The node's script of pair checks between network namespaces, with the real fping."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacklab.checks.result import CheckKind, CheckResult, CheckStatus, Reason
from stacklab.model.lab import Lab
from tests.contract.pair_scripts import OLD_FPING, only, run, run_script, write_programs
from tests.unit.checks.fake_lab import make_lab

pytestmark = pytest.mark.skipif(shutil.which("fping") is None, reason="fping is not installed")
# Workers run side by side, so each has namespaces of its own.
NAMES = f"slt{os.getpid()}"


@pytest.fixture(scope="module")
def namespaces() -> Iterator[None]:
    """A node and two peers on one segment, as namespaces; removed again."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("namespaces are root's")
    names = (f"{NAMES}-node", f"{NAMES}-one", f"{NAMES}-two", f"{NAMES}-switch")
    lines = ["set -e", *(f"ip netns add {name}" for name in names)]
    lines += [
        f"ip -n {NAMES}-switch link add br0 type bridge",
        f"ip -n {NAMES}-switch link set br0 mtu 9000 up",
    ]
    for number, name in enumerate(names[:3], start=11):
        lines += [
            f"ip -n {name} link add eth0 mtu 1500 type veth peer name {name} mtu 9000 netns"
            f" {NAMES}-switch",
            f"ip -n {name} address add 10.77.0.{number}/24 dev eth0",
            f"ip -n {name} link set eth0 up",
            f"ip -n {name} link set lo up",
            f"ip -n {NAMES}-switch link set {name} master br0 up",
        ]
    done = run("\n".join(lines))
    try:
        if done.returncode:
            pytest.skip(f"namespaces can't be made here: {done.stderr}")
        yield
    finally:
        run("\n".join(f"ip netns delete {name}" for name in names))


def from_namespace(lab: Lab, env: dict[str, str], *kinds: CheckKind) -> dict[str, CheckResult]:
    """What the node in its namespace finds, by peer."""
    found = run_script(
        only(lab, *kinds), lab, env, shell=("ip", "netns", "exec", f"{NAMES}-node", "sh")
    )
    return {target: each for (_, target, _), each in found.items()}


LAB = make_lab(cidrs=("10.77.0.0/24",))


@pytest.fixture(params=["fping", "ping"])
def pinging(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Environments with a new fping, and with one that has no -M."""
    if request.param == "fping":
        return dict(os.environ)
    if shutil.which("ping") is None:
        pytest.skip("ping is not installed")
    return write_programs(
        tmp_path / "bin", {"fping": OLD_FPING.replace("REAL", str(shutil.which("fping")))}
    )


def mtu_of(namespace: str, mtu: int) -> None:
    assert run(f"ip -n {namespace} link set eth0 mtu {mtu}").returncode == 0


def test_the_declared_size_passes_and_one_byte_more_does_not(
    namespaces: None, pinging: dict[str, str]
) -> None:
    found = from_namespace(LAB, pinging, CheckKind.MTU)
    assert all(each.is_passed and "1501" in each.detail for each in found.values())


def test_a_smaller_path_is_told_with_what_passes(namespaces: None, pinging: dict[str, str]) -> None:
    # the bridge's port towards the peer takes less than the node's NIC sends, and drops it without
    # a word
    run(f"ip -n {NAMES}-switch link set {NAMES}-two mtu 1450")
    try:
        found = from_namespace(LAB, pinging, CheckKind.MTU)
    finally:
        run(f"ip -n {NAMES}-switch link set {NAMES}-two mtu 9000")
    assert found["compute1"].is_passed
    assert (found["compute2"].status, found["compute2"].reason) == (
        CheckStatus.FAILED,
        Reason.TOO_LONG,
    )
    assert "1450" in found["compute2"].detail


def test_a_smaller_nic_is_told_with_what_passes(namespaces: None, pinging: dict[str, str]) -> None:
    mtu_of(f"{NAMES}-node", 1400)
    try:
        found = from_namespace(LAB, pinging, CheckKind.MTU)
    finally:
        mtu_of(f"{NAMES}-node", 1500)
    assert {each.reason for each in found.values()} == {Reason.TOO_LONG}
    assert all("1400" in each.detail for each in found.values())


def test_a_larger_nic_is_told(namespaces: None, pinging: dict[str, str]) -> None:
    for namespace in (f"{NAMES}-node", f"{NAMES}-one"):
        mtu_of(namespace, 9000)
    try:
        found = from_namespace(LAB, pinging, CheckKind.MTU)
    finally:
        for namespace in (f"{NAMES}-node", f"{NAMES}-one"):
            mtu_of(namespace, 1500)
    assert found["compute1"].reason is Reason.MTU_LARGER
    assert "1501 bytes pass" in found["compute1"].detail


def test_a_larger_nic_is_told_though_something_on_the_way_drops_what_it_sends(
    namespaces: None, pinging: dict[str, str]
) -> None:
    """It passed: no answer was taken for a refusal."""
    mtu_of(f"{NAMES}-node", 9000)
    run(f"ip -n {NAMES}-switch link set {NAMES}-two mtu 1500")
    try:
        found = from_namespace(LAB, pinging, CheckKind.MTU)
    finally:
        mtu_of(f"{NAMES}-node", 1500)
        run(f"ip -n {NAMES}-switch link set {NAMES}-two mtu 9000")
    assert (found["compute2"].status, found["compute2"].reason) == (
        CheckStatus.FAILED,
        Reason.MTU_LARGER,
    )
    assert "lost" in found["compute2"].detail


def test_what_the_node_does_not_send_for_another_reason_says_nothing_of_the_mtu(
    namespaces: None, tmp_path: Path
) -> None:
    fping_ = f"""#!/bin/sh
case "$*" in
*"-b 1473"*) for each; do :; done; echo "$each: error while sending ping: No buffer space \
available" >&2; exit 1 ;;
esac
exec {shutil.which("fping")} "$@"
"""
    env = write_programs(tmp_path / "bin", {"fping": fping_})
    checks = [check for check in only(LAB, CheckKind.MTU) if check.target == "compute1"]
    found = run_script(checks, LAB, env, shell=("ip", "netns", "exec", f"{NAMES}-node", "sh"))
    (result,) = found.values()
    assert (result.status, result.reason) == (CheckStatus.ERROR, Reason.NOT_SENT)
    assert "No buffer space available" in result.detail


def test_a_packet_lost_by_chance_leaves_the_mtu_proved(namespaces: None, tmp_path: Path) -> None:
    """Who passed on the second try was never sent one byte more, and had no result."""
    fping_ = f"""#!/bin/sh
case "$*" in
*"-q -C 1 "*"-b 1472"*) if mkdir {tmp_path}/lost; then echo "10.77.0.12 : 0.5" >&2; exit 1; \
fi 2>/dev/null ;;
esac
exec {shutil.which("fping")} "$@"
"""
    found = from_namespace(LAB, write_programs(tmp_path / "bin", {"fping": fping_}), CheckKind.MTU)
    assert (tmp_path / "lost").exists()
    assert all(each.is_passed and "1501" in each.detail for each in found.values())


def test_a_wrong_way_out_is_told(namespaces: None) -> None:
    found = from_namespace(LAB, dict(os.environ), CheckKind.SOURCE)
    assert {each.detail for each in found.values()} == {"eth0 10.77.0.11"}
    run(f"ip -n {NAMES}-node address add 10.77.0.99/24 dev eth0")
    run(f"ip -n {NAMES}-node route add 10.77.0.12/32 dev eth0 src 10.77.0.99")
    run(f"ip -n {NAMES}-node route add unreachable 10.77.0.13/32")
    try:
        found = from_namespace(LAB, dict(os.environ), CheckKind.SOURCE)
    finally:
        run(
            f"ip -n {NAMES}-node route del 10.77.0.12/32;"
            f" ip -n {NAMES}-node route del unreachable 10.77.0.13/32"
        )
        run(f"ip -n {NAMES}-node address del 10.77.0.99/24 dev eth0")
    assert found["compute1"].reason is Reason.WRONG_WAY
    assert "10.77.0.99" in found["compute1"].detail
    assert found["compute2"].reason is Reason.NO_ROUTE


def test_a_peer_that_does_not_answer_arp_is_asked_but_once(
    namespaces: None, tmp_path: Path
) -> None:
    """It was waited for again, and its address called "timed out"."""
    env = write_programs(
        tmp_path / "bin", {"bash": f"#!/bin/sh\necho $* >>{tmp_path}/knocked\nexit 124\n"}
    )
    run(f"ip -n {NAMES}-two link set eth0 down; ip -n {NAMES}-node neigh flush dev eth0")
    try:
        found = from_namespace(LAB, env, CheckKind.PING, CheckKind.MTU, CheckKind.PORT)
    finally:
        run(f"ip -n {NAMES}-two link set eth0 up")
    assert found["compute2"].reason is Reason.UNREACHABLE
    knocked = (tmp_path / "knocked").read_text()
    assert "10.77.0.12" in knocked, "that one refuses"
    assert "10.77.0.13" not in knocked


def test_a_name_whose_address_nobody_has_is_not_scanned_once_more(
    namespaces: None, tmp_path: Path
) -> None:
    """The kernel gave it up while ssh waited for it."""
    said = "ssh: connect to host compute2 port 22: No route to host"
    lost = f"#!/bin/sh\nfping -q -C 1 -t 4000 10.77.0.13 2>/dev/null\necho {said} >&2\nexit 255\n"
    scan = f"#!/bin/sh\necho $* >>{tmp_path}/scanned\nexit 1\n"
    env = write_programs(tmp_path / "bin", {"ssh": lost, "ssh-keyscan": scan})
    run(f"ip -n {NAMES}-two link set eth0 down; ip -n {NAMES}-node neigh flush dev eth0")
    try:
        checks = [c for c in only(LAB, CheckKind.SSH, CheckKind.PORT) if c.target == "compute2"]
        found = run_script(checks, LAB, env, shell=("ip", "netns", "exec", f"{NAMES}-node", "sh"))
    finally:
        run(f"ip -n {NAMES}-two link set eth0 up")
    assert {each.reason for each in found.values()} == {Reason.UNREACHABLE}
    assert not (tmp_path / "scanned").exists()
