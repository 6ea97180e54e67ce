from __future__ import annotations

from ipaddress import IPv4Address

from stacklab.tools.network import iptables
from stacklab.tools.network.iptables import HostPort

CHAIN = iptables.chain_of("trio")
WAY = f"-A INPUT -j {CHAIN}"
OTHERS = "-P INPUT ACCEPT\n-N theirs\n-A INPUT -j theirs\n-A INPUT -i lo -j ACCEPT\n"
GIT = HostPort(address=IPv4Address("10.0.0.1"), port=9418)


def close(listing: str = OTHERS) -> list[str]:
    text = iptables.close(
        "trio", bridges=["sl-a", "sl-b"], hiding=["sl-c"], places=[GIT], listing=listing
    )
    return text.splitlines()


def test_a_chain_s_name_depends_on_the_lab_alone_and_fits_the_kernel() -> None:
    name = iptables.chain_of("a-lab-with-a-name-that-is-longer-than-a-chain-s-may-be")
    assert name == iptables.chain_of("a-lab-with-a-name-that-is-longer-than-a-chain-s-may-be")
    assert name != iptables.chain_of("another")
    assert len(name) <= 28


def test_each_bridge_lets_pass_what_a_lab_needs_and_refuses_the_rest_last() -> None:
    lines = close()
    for bridge in ("sl-a", "sl-b"):
        of_bridge = [line for line in lines if f"-i {bridge} " in line]
        assert f"-A {CHAIN} -i {bridge} -d 10.0.0.1 -p tcp --dport 9418 -j RETURN" in of_bridge
        assert all(line.endswith("-j RETURN") for line in of_bridge[:-1])
        assert of_bridge[-1] == (
            f"-A {CHAIN} -i {bridge} -j REJECT --reject-with icmp-admin-prohibited"
        )


def test_where_the_host_has_no_address_nothing_passes() -> None:
    assert [line for line in close() if "-i sl-c " in line] == [f"-A {CHAIN} -i sl-c -j DROP"]


def test_the_way_to_the_chain_is_first_and_there_once_whatever_was_there() -> None:
    for had in (0, 1, 3):
        lines = close(OTHERS + f"{WAY}\n" * had + f"-N {CHAIN}\n")
        # Declared: so it is made, or emptied, in the same transaction.
        assert lines[:2] == ["*filter", f":{CHAIN} - [0:0]"]
        assert lines[2 : 2 + had] == [f"-D INPUT -j {CHAIN}"] * had
        assert lines[2 + had] == f"-I INPUT -j {CHAIN}"
        assert lines.count(f"-I INPUT -j {CHAIN}") == 1
        assert lines[-1] == "COMMIT"


def test_what_is_removed_is_the_chain_and_each_way_to_it() -> None:
    lines = iptables.remove("trio", f"{OTHERS}{WAY}\n{WAY}\n-N {CHAIN}\n").splitlines()
    way = f"-D INPUT -j {CHAIN}"
    assert lines == ["*filter", way, way, f"-F {CHAIN}", f"-X {CHAIN}", "COMMIT"]


def test_nothing_of_anybody_else_is_named() -> None:
    listing = f"{OTHERS}{WAY}\n-N {CHAIN}\n"
    lines = [*close(listing), *iptables.remove("trio", listing).splitlines()]
    assert all(CHAIN in line for line in lines if line not in ("*filter", "COMMIT"))


def test_a_chain_is_there_if_its_name_is_whole() -> None:
    assert iptables.has_chain("trio", f"{OTHERS}-N {CHAIN}\n")
    assert not iptables.has_chain("trio", OTHERS)
    assert not iptables.has_chain("trio", f"-N {CHAIN}x\n")
