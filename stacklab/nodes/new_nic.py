"""Have a node that runs configure a NIC that was plugged into it. Pure.

The NIC's lines are those that the seed gives a node for its first boot; other NICs, and what an
installer has made of their files, are left alone.
"""

from __future__ import annotations

import shlex

from stacklab.model.lab import NIC, Lab, NetworkStyle, Node
from stacklab.nodes import seed

# Tries, half a second apart: for the kernel to find the NIC, and for it to get its address.
_TRIES = 60
# How each kind of system is told of it; what it says shows in the error. NetworkManager calls what
# it has from an ifcfg file `System eth1`, and may have given the NIC a profile of its own.
_TAKE_UP = {
    NetworkStyle.NETWORKD: "networkctl reload",
    # Some have taken it up by themselves, when it appeared: the address decides, not the code.
    NetworkStyle.IFUPDOWN: "ifup {device}",
    NetworkStyle.IFCFG: """\
if nmcli -t -f RUNNING general 2>/dev/null | grep -q '^running'; then
    nmcli connection reload
    nmcli connection up "System {device}"
else
    ifup {device}
fi""",
}
_SCRIPT = """\
umask 022
PATH=$PATH:/usr/sbin:/sbin
has_address() {{ ip -4 -o address show dev {device} 2>/dev/null | grep -qF ' {address} '; }}
{write}
has_address && exit 0
n=0
until ip -o link show dev {device} 2>/dev/null | grep -qiF ' {mac} '; do
    n=$((n + 1))
    if [ $n -gt {tries} ]; then
        echo "{device} with the MAC {mac} has not appeared; there is:"
        ip -o link show
        exit 1
    fi
    sleep 0.5
done
{take_up}
n=0
until has_address; do
    n=$((n + 1))
    if [ $n -gt {tries} ]; then
        echo "{device} does not get its address {address}"
        exit 1
    fi
    sleep 0.5
done
"""


def script(lab: Lab, node: Node, nic: NIC, style: NetworkStyle, *, tries: int = _TRIES) -> str:
    """Return shell for root: write the NIC's lines, wait for the NIC, then for its address.

    It may run again, also once all is done. It ends with 1, and says why, where the NIC or its
    address does not come after `tries` half seconds each.
    """
    return _SCRIPT.format(
        device=nic.device,
        mac=nic.mac,
        address=nic.address,
        write=_write(lab, node, nic, style),
        take_up=_TAKE_UP[style].format(device=nic.device),
        tries=tries,
    )


def _write(lab: Lab, node: Node, nic: NIC, style: NetworkStyle) -> str:
    path, text = seed.nic_lines(lab, node, nic, style)
    quoted = shlex.quote(text)
    if style is not NetworkStyle.IFUPDOWN:
        return f"printf %s {quoted} > /{path} || exit 1"
    # One file for all NICs, which an installer may have changed: the lines go to its end, once.
    has_lines = f"grep -q '^iface {nic.device} ' /{path}"
    return f"{has_lines} || printf %s {quoted} >> /{path} || exit 1"
