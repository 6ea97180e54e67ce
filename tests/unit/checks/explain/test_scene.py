"""What a node's own words mean, of iproute2 and firewalls old and new."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacklab.checks.explain import scene
from stacklab.checks.explain.scene import UNSEEN, Scene
from stacklab.nodes import protocol
from tests.unit.checks.fake_lab import make_lab

NIC = make_lab().node("compute1").nics[1]  # eth1, 10.20.0.12
PEER = "10.20.0.11"

HEALTHY = {
    "link": """1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN \\    \
link/loopback 00:00:00:00:00:00
2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc pfifo_fast state UP \\    link/ether \
52:54:00:00:00:01
3: eth1@if7: <BROADCAST,MULTICAST> mtu 1400 qdisc pfifo_fast state DOWN \\    link/ether \
52:54:00:00:01:01
4: eth2: <NO-CARRIER,BROADCAST,MULTICAST,UP> mtu 1500 qdisc x state DOWN \\    link/ether \
52:54:00:00:02:01""",
    "addr": """1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever
2: eth0    inet 10.10.0.12/24 metric 1024 brd 10.10.0.255 scope global dynamic eth0\\       \
valid_lft 1sec
2: eth0    inet 10.10.0.99/24 scope global secondary eth0\\       valid_lft forever""",
    "neigh": """10.10.0.11 dev eth0 lladdr 52:54:00:00:00:00 STALE
10.10.0.13 dev eth0  FAILED
10.10.0.14 dev eth0 lladdr 52:54:00:00:00:09 ref 1 used 0/0/0 probes 1 REACHABLE
10.10.0.15 dev eth0 INCOMPLETE""",
    "route": """10.20.0.11 10.20.0.11 dev eth1 src 10.20.0.12 uid 1000 \\    cache
10.20.0.13 10.20.0.13 via 10.10.0.1 dev eth0  src 10.10.0.12 \\    cache  ipid 0x1
10.30.0.13 RTNETLINK answers: Network is unreachable""",
    "port": """State  Recv-Q Send-Q Local Address:Port Peer Address:PortProcess
LISTEN 0      128          0.0.0.0:22        0.0.0.0:*""",
    "pings": "0",
    "tc": "qdisc noqueue 0: dev lo root refcnt 2\nqdisc netem 8001: dev eth0 root refcnt 2 limit"
    " 1000 loss 30%",
    "firewall": "",
    "journal": "Server listening on 0.0.0.0 port 22.",
}


def seen(codes: dict[str, int] | None = None, **said: str) -> Scene:
    """A node's words, all but these as of a healthy one."""
    lines = ["M begin"]
    for tag, text in (HEALTHY | said).items():
        lines += [f"M explain.{tag} {line}" for line in text.splitlines() if line.strip()]
        lines.append(f"M explain.{tag} = {(codes or {}).get(tag, 0)}")
    return scene.read(protocol.read("\n".join([*lines, "M end"]), "M"))


def test_devices_are_read_with_state_mtu_and_addresses() -> None:
    found = seen()
    assert {
        name: (d.state, d.mtu, d.addresses, d.loss_percent) for name, d in found.devices.items()
    } == {
        "lo": ("up", 65536, ("127.0.0.1/8",), 0.0),
        "eth0": ("up", 1500, ("10.10.0.12/24", "10.10.0.99/24"), 30.0),
        "eth1": ("down", 1400, (), 0.0),
        "eth2": ("up, without carrier", 1500, (), 0.0),
    }


def test_neighbours_and_routes_are_read_in_every_age_s_words() -> None:
    found = seen()
    assert found.neighbours == {
        "10.10.0.11": ("52:54:00:00:00:00", "STALE"),
        "10.10.0.13": ("", "FAILED"),
        "10.10.0.14": ("52:54:00:00:00:09", "REACHABLE"),
        "10.10.0.15": ("", "INCOMPLETE"),
    }
    assert found.routes == {
        "10.20.0.11": "10.20.0.11 dev eth1 src 10.20.0.12",
        "10.20.0.13": "10.20.0.13 via 10.10.0.1 dev eth0  src 10.10.0.12",
        "10.30.0.13": "RTNETLINK answers: Network is unreachable",
    }


@pytest.mark.parametrize(
    ("text", "code", "listens"),
    [
        (HEALTHY["port"], 0, True),
        ("State Recv-Q\nLISTEN 0 128 *:22 *:*", 0, True),
        ("State Recv-Q\nLISTEN 0 128 0.0.0.0:2222 0.0.0.0:*", 0, False),
        ("State Recv-Q", 0, False),
        ("sh: 1: ss: not found", 127, None),
    ],
)
def test_whether_sshd_listens_is_known_where_ss_is(
    text: str, code: int, listens: bool | None
) -> None:
    assert seen({"port": code}, port=text).listens is listens


IPTABLES = """*filter
:INPUT ACCEPT [0:0]
-A INPUT -p icmp -i eth1 -j DROP
-A INPUT -p tcp -m tcp --dport 22 -s 10.20.0.11/32 -j REJECT --reject-with icmp-port-unreachable
-A INPUT -p udp -j DROP
-A FORWARD -j DROP
COMMIT"""
NFT = """table inet filter {
chain input {
type filter hook input priority filter; policy accept;
iifname "eth1" icmp type echo-request counter packets 9 bytes 756 drop
tcp dport 22 ip saddr 10.20.0.11 drop
}
chain forward {
type filter hook forward priority filter; policy drop;
}
}"""


@pytest.mark.parametrize(
    ("firewall", "icmp", "tcp"),
    [
        ("", "", ""),
        (
            IPTABLES,
            "-A INPUT -p icmp -i eth1 -j DROP",
            "-A INPUT -p tcp -m tcp --dport 22 -s 10.20.0.11/32 -j REJECT --reject-with"
            " icmp-port-unreachable",
        ),
        (
            NFT,
            'iifname "eth1" icmp type echo-request drop',
            "tcp dport 22 ip saddr 10.20.0.11 drop",
        ),
        (
            "*filter\n:INPUT DROP [1:2]\nCOMMIT",
            "policy of INPUT is DROP",
            "policy of INPUT is DROP",
        ),
        (
            "chain i {\ntype filter hook input priority 0; policy drop;\n}",
            "policy of input is drop",
            "policy of input is drop",
        ),
        ("-A INPUT -p icmp -i eth0 -j DROP", "", ""),  # another NIC's
        ("-A INPUT -p tcp -m tcp --dport 80 -j DROP", "", ""),  # another port's
        ("-A INPUT -s 10.99.0.0/16 -j DROP", "", ""),  # another's packets
        ("-A INPUT -s 10.20.0.0/16 -j DROP", *["-A INPUT -s 10.20.0.0/16 -j DROP"] * 2),
        (
            "-A INPUT -p tcp -m multiport --dports 80,22 -j DROP",
            "",
            "-A INPUT -p tcp -m multiport --dports 80,22 -j DROP",
        ),
        ("-A INPUT -m conntrack --ctstate INVALID -j DROP", "", ""),
        ("-A INPUT ! -s 10.20.0.0/16 -j DROP", "", ""),
        ("-A INPUT -p icmp -m icmp --icmp-type 13 -j DROP", "", ""),
        (
            "-A INPUT -p icmp -m icmp --icmp-type 8 -j DROP",
            "-A INPUT -p icmp -m icmp --icmp-type 8 -j DROP",
            "",
        ),
        (
            "*filter\n-A INPUT -p tcp --dport 80 -j DROP\nCOMMIT\n" + NFT,
            'iifname "eth1" icmp type echo-request drop',
            "tcp dport 22 ip saddr 10.20.0.11 drop",
        ),
        ("-A FORWARD -j DROP\n-A INPUT -j ACCEPT", "", ""),
        (
            "chain forward {\ntype filter hook forward priority 0;\nicmp type echo-request drop\n}",
            "",
            "",
        ),
    ],
)
def test_a_rule_is_blamed_for_the_packets_that_it_is_about_alone(
    firewall: str, icmp: str, tcp: str
) -> None:
    found = seen(firewall=firewall)
    assert found.drops("input", "icmp", NIC, PEER) == icmp
    assert found.drops("input", "tcp", NIC, PEER) == tcp


CENTOS = """*filter
:INPUT ACCEPT [0:0]
-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p icmp -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT
-A INPUT -j REJECT --reject-with icmp-host-prohibited
COMMIT"""


@pytest.mark.parametrize(
    ("firewall", "request_", "reply"),
    [
        ("-A INPUT -p icmp -j DROP", "-A INPUT -p icmp -j DROP", "-A INPUT -p icmp -j DROP"),
        (
            "-A INPUT -p icmp -m icmp --icmp-type 8 -j DROP",
            "-A INPUT -p icmp -m icmp --icmp-type 8 -j DROP",
            "",
        ),
        ("-A INPUT -p icmp --icmp-type 0 -j DROP", "", "-A INPUT -p icmp --icmp-type 0 -j DROP"),
        (CENTOS, "", ""),
        (
            CENTOS.replace("-A INPUT -p icmp -j ACCEPT\n", ""),
            "-A INPUT -j REJECT --reject-with icmp-host-prohibited",
            "",
        ),
        ("-A INPUT -p icmp ! -i eth9 -j ACCEPT\n-A INPUT -j DROP", "", ""),
        (
            ":INPUT DROP [0:0]\n-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT",
            "policy of INPUT is DROP",
            "",
        ),
        (
            "chain i {\ntype filter hook input priority 0; policy drop;\n"
            "ct state established,related accept\n}",
            "policy of input is drop",
            "",
        ),
    ],
)
def test_a_rule_is_blamed_only_where_none_before_it_accepts(
    firewall: str, request_: str, reply: str
) -> None:
    found = seen(firewall=firewall)
    assert found.drops("input", "icmp", NIC, PEER) == request_
    assert found.drops("input", "icmp", NIC, PEER, is_reply=True) == reply


def test_of_ssh_the_port_stands_on_the_other_side_in_what_comes_back() -> None:
    asked, answered = "-A INPUT -p tcp --dport 22 -j DROP", "-A INPUT -p tcp --sport 22 -j DROP"
    assert seen(firewall=asked).drops("input", "tcp", NIC, PEER) == asked
    assert seen(firewall=asked).drops("input", "tcp", NIC, PEER, is_reply=True) == ""
    assert seen(firewall=answered).drops("input", "tcp", NIC, PEER, is_reply=True) == answered
    assert seen(firewall=answered).drops("input", "tcp", NIC, PEER) == ""


def test_what_goes_out_is_told_from_what_comes_in() -> None:
    found = seen(firewall="-A OUTPUT -p icmp -o eth1 -j DROP")
    assert found.drops("input", "icmp", NIC, PEER) == ""
    assert found.drops("output", "icmp", NIC, PEER) == "-A OUTPUT -p icmp -o eth1 -j DROP"


def test_a_node_that_was_cut_off_before_its_first_word_is_unseen() -> None:
    assert scene.read(protocol.read("M begin", "M")) is UNSEEN
    assert scene.read(protocol.read("Permission denied", "M")) is UNSEEN


def test_what_was_heard_before_a_cut_counts() -> None:
    text = "\n".join(
        [
            "M begin",
            *(f"M explain.link {line}" for line in HEALTHY["link"].splitlines()),
            "M explain.link = 0",
            "M explain.addr 2: eth0    inet 10.1",
        ]
    )
    found = scene.read(protocol.read(text, "M"))
    assert found.is_seen
    assert found.devices["eth1"].state == "down"
    assert found.listens is None


@pytest.mark.parametrize(
    "said",
    [
        {"tc": "qdisc netem 1: dev eth0 root loss 1..2%"},
        {"tc": f"qdisc netem 1: dev eth0 root loss {'9' * 5000}%"},
        {"tc": "qdisc netem 1: dev eth0 root loss \u0661.%"},
        {"link": f"2: eth0: <UP> mtu {'9' * 5000}"},
        {"link": f"2: eth0: <UP> mtu {'9' * 5000}", "tc": "qdisc netem 1: dev eth0 root loss .%"},
    ],
)
def test_a_number_that_is_none_is_never_an_error(said: dict[str, str]) -> None:
    assert seen(**said).is_seen


def test_an_answer_that_breaks_a_parser_is_no_scene(monkeypatch: pytest.MonkeyPatch) -> None:
    def stub_breaks(lines: object) -> None:
        raise ValueError(lines)

    monkeypatch.setattr(scene.firewall, "read_rules", stub_breaks)
    assert seen() is UNSEEN


@given(st.text())
def test_garbage_is_never_an_error(text: str) -> None:
    seen(link=text, addr=text, neigh=text, route=text, port=text, firewall=text, tc=text)
    seen(firewall=IPTABLES.replace("10.20.0.11/32", "".join(text.split()) or "x")).drops(
        "input", "tcp", NIC, PEER
    )


def test_the_addresses_asked_for_are_bounded_and_quoted() -> None:
    many = [f"10.0.{number}.1" for number in range(200)]
    shell = {part.tag: part.shell for part in scene.parts(many)}
    assert shell["explain.route"].count("10.0.") == 32
    assert "explain.route" not in {part.tag for part in scene.parts([])}
