"""The questions that a node is asked about itself, in one part with few forks. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv4Network
from itertools import pairwise

from stacklab.checks.result import CheckKind, Reason, Verdict
from stacklab.nodes.protocol import NOT_FOUND, OUTPUT_MAX

# `read` where it will do: an emulated node needs 30 ms to start a program, a hundred times as long
# as it takes to read a file in /sys.
_FUNCTIONS = """\
show() {
  for file; do
    if IFS= read -r line <"$file"; then printf '%s\\n' "${file##*/} $line"; fi
  done 2>/dev/null
}
run() {
  printf '%s\\n' "@begin $1"; shift; "$@"; printf '%s\\n' "@end $?"
}
blocks() {
  set +f
  for block in /sys/class/block/*; do
    name=${block##*/} parent=- slaves=
    case $name in loop* | ram* | nbd* | sr* | fd*) continue ;; esac
    read -r size <"$block/size" && read -r dev <"$block/dev" || continue
    if [ -e "$block/partition" ]; then read -r parent <"$block/../dev"; fi
    for slave in "$block"/slaves/*; do
      if [ -e "$slave" ]; then slaves="$slaves ${slave##*/}"; fi
    done
    printf '%s\\n' "block $name $dev $size $parent$slaves"
  done 2>/dev/null
  set -f
}
nics() {
  set +f
  for nic in /sys/class/net/*; do
    if [ ! -e "$nic/address" ]; then continue; fi
    read -r mac <"$nic/address"; read -r mtu <"$nic/mtu"; read -r flags <"$nic/flags"
    read -r carrier <"$nic/carrier" || carrier=- # one that is down does not tell
    printf '%s\\n' "nic ${nic##*/} ${mac:--} $mtu $flags $carrier"
  done 2>/dev/null
  set -f
}
"""
# meminfo's lines as they are; of mountinfo what is mounted on /: device, options, type and source
_PROC = (
    "run proc sed -n -e '/^MemTotal:/p' -e '/^Swap[TF]/p'"
    " -e 's|^[0-9]* [0-9]* \\([0-9]*:[0-9]*\\) [^ ]* / |mount \\1 |p'"
    " /proc/meminfo /proc/self/mountinfo"
)
_ADDRESSES = "run addr ip -o -4 addr show"
_FS = "run fs stat -f -c 'fs %S %b %f %a %c %d' /"
_UPTIME = "show /proc/uptime"
_CRASH = "show /sys/kernel/kexec_crash_size"
_CPUS = "show /sys/devices/system/cpu/online /sys/devices/system/cpu/present"

# What to run for which check, and what a person would type to see the same.
_NEEDS: Mapping[CheckKind, tuple[str, ...]] = {
    CheckKind.UPTIME: (_UPTIME,),
    CheckKind.CPUS: (_CPUS,),
    CheckKind.MEMORY: (_CRASH, _PROC),
    CheckKind.DISK: (_PROC, "blocks"),
    CheckKind.ROOT: (_PROC, "blocks", _FS),
    CheckKind.SWAP: (_PROC,),
    CheckKind.NIC: ("nics", _ADDRESSES),
    CheckKind.ROUTES: ("nics", _ADDRESSES, "run route ip -o -4 route show"),
}
COMMANDS: Mapping[CheckKind, str] = {
    CheckKind.UPTIME: "uptime -s",
    CheckKind.CPUS: "lscpu",
    CheckKind.MEMORY: "grep MemTotal /proc/meminfo",
    CheckKind.DISK: "lsblk",
    CheckKind.ROOT: "df -h /; df -i /; grep ' / ' /proc/mounts",
    CheckKind.SWAP: "cat /proc/swaps",
    CheckKind.NIC: "ip addr",
    CheckKind.ROUTES: "ip -4 route",
}
_PROGRAMS = {"proc": "sed", "fs": "stat", "addr": "ip", "route": "ip"}
_OF_KIND: Mapping[CheckKind, tuple[str, ...]] = {
    CheckKind.UPTIME: ("uptime",),
    CheckKind.CPUS: ("online", "present"),
    CheckKind.MEMORY: ("MemTotal:", "kexec_crash_size"),
    CheckKind.DISK: ("mount", "block"),
    CheckKind.ROOT: ("mount", "block", "fs"),
    CheckKind.SWAP: ("SwapTotal:", "SwapFree:"),
    CheckKind.NIC: ("nic", "addr"),
    CheckKind.ROUTES: ("addr", "route"),
}
_ADDRESS_LINE = re.compile(
    r"\d+: (?P<name>[^\s@]+)\S*\s+inet (?P<address>[\d.]+)(?: peer [\d.]+)?(?P<length>/\d+)?",
    re.ASCII,
)
_IFF_UP = 1
_SECTOR = 512
_DEEPEST = 8  # partition on LVM on RAID on ...


def shell(kinds: Iterable[CheckKind]) -> str:
    """Return what a node has to run for checks of these kinds; "" where that is nothing."""
    wanted = set(kinds)
    lines: dict[str, None] = {}  # each once, in the order of _NEEDS
    for kind, needs in _NEEDS.items():
        if kind in wanted:
            lines.update(dict.fromkeys(needs))
    if not lines:
        return ""
    return _FUNCTIONS + "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkDevice:
    """A NIC as the node has it."""

    mac: str
    mtu: int
    is_up: bool
    has_carrier: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRoute:
    """A route of the main table; more than one device or gateway when it has several hops."""

    prefix: IPv4Network
    devices: tuple[str, ...]
    gateways: tuple[str, ...]
    source: str

    def __str__(self) -> str:
        via = "".join(f" via {gateway}" for gateway in self.gateways)
        return f"{via} dev {', '.join(self.devices)}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A block device, or what it lies on."""

    name: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSystem:
    """The root file system by stat -f; `available` is what `stack` may still write."""

    bytes: int
    free: int
    available: int
    inodes: int  # 0: it does not count them
    free_inodes: int


@dataclass(slots=True, kw_only=True)
class Look:
    """One node's answer by what its lines begin with; what was not said is missing."""

    # By the first word of a line: the other words of each such line.
    words: dict[str, list[list[str]]] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)  # what a program wrote
    codes: dict[str, int] = field(default_factory=dict)

    def unknown(self, *keys: str) -> Verdict:
        """Return why the answers of these programs are missing."""
        for key in keys:
            code, program = self.codes.get(key), _PROGRAMS[key]
            if code == NOT_FOUND:
                detail = f"{program} is not installed"
                return Verdict.error(Reason.PROGRAM_MISSING, detail, about=program)
            if code:
                complaint = "; ".join(self.texts[key])[:200]
                detail = f"{program} ended with {code}: {complaint}"
                return Verdict.error(Reason.PROGRAM_FAILED, detail, about=program)
        return Verdict.error(Reason.NO_ANSWER, "the node did not tell")

    def text(self, kind: CheckKind) -> str:
        """Return the lines that a check of that kind was judged by."""
        lines: list[str] = []
        for key in _OF_KIND[kind]:
            of_program = self.texts.get(key)
            of_words = [" ".join((key, *rest)) for rest in self.words.get(key, ())]
            lines += of_program or of_words
        return "\n".join(lines)[-OUTPUT_MAX:]

    def first(self, key: str) -> str:
        """Return the first word after that one; "" if it is missing."""
        for words in self.words.get(key, ()):
            return words[0] if words else ""
        return ""

    def number(self, key: str) -> int | None:
        """Return that word as a whole number."""
        return _whole_number(self.first(key))

    def devices(self) -> dict[str, NetworkDevice]:
        """Return its NICs and what else is a network device, by name."""
        devices = {}
        for name, mac, mtu, flags, carrier in _lines_of_length(self.words.get("nic", ()), 5):
            size = _whole_number(mtu)
            if size is None:
                continue
            devices[name] = NetworkDevice(
                mac=mac.lower(),
                mtu=size,
                is_up=bool(_hexadecimal(flags) & _IFF_UP),
                has_carrier=carrier == "1",
            )
        return devices

    def addresses(self) -> dict[str, list[IPv4Interface]] | None:
        """Return its addresses by device; None where ip failed."""
        if self.codes.get("addr") != 0:
            return None
        addresses: dict[str, list[IPv4Interface]] = {}
        for line in self.texts["addr"]:
            match = _ADDRESS_LINE.match(line)
            if match is None:
                continue
            # Behind the address of a peer, the length of the prefix is still the node's own.
            address = _parse_interface(match["address"] + (match["length"] or ""))
            if address is not None:
                addresses.setdefault(match["name"], []).append(address)
        return addresses

    def routes(self) -> list[NodeRoute] | None:
        """Return its routes in the kernel's order; None where ip failed."""
        if self.codes.get("route") != 0:
            return None
        routes = [_parse_route(line.split()) for line in self.texts["route"]]
        return [route for route in routes if route is not None]

    def root(self) -> tuple[str, str, str, set[str]] | None:
        """Return what is mounted on /: device number, source, type, options; None if unknown."""
        for words in reversed(self.words.get("mount", [])):  # the last one covers those before
            # proc(5): a "-" ends the fields of which there may be any number.
            end = words.index("-") if "-" in words else len(words)
            if len(words) < end + 4:
                continue
            kind, source, options = words[end + 1 : end + 4]
            return words[0], source, kind, {*words[1].split(","), *options.split(",")}
        return None

    def root_disk(self) -> Disk | None:
        """Return the disk that the root file system lies on, whatever is between."""
        root = self.root()
        blocks = {words[0]: words[1:] for words in self.words.get("block", ()) if len(words) >= 4}
        by_number = {words[0]: name for name, words in blocks.items()}
        if root is None:
            return None
        # btrfs's devices have numbers that no disk has; then the name must do
        name = by_number.get(root[0]) or root[1].rpartition("/")[2]
        for _ in range(_DEEPEST):
            if name not in blocks:
                return None
            _, sectors, parent, *slaves = blocks[name]
            below = by_number.get(parent) or next(iter(slaves), "")
            if not below:
                size = _whole_number(sectors)
                if size is None:
                    return None
                return Disk(name=name, bytes=size * _SECTOR)
            name = below
        return None  # a ring: no node has that, but one may say so

    def file_system(self) -> FileSystem | None:
        """Return the size and use of the root file system; None where stat failed."""
        for words in _lines_of_length(self.words.get("fs", ()), 6):
            numbers = [number for number in map(_whole_number, words) if number is not None]
            if len(numbers) < 6:
                continue
            block, blocks, free, available, inodes, free_inodes = numbers
            return FileSystem(
                bytes=block * blocks,
                free=block * free,
                available=block * available,
                inodes=inodes,
                free_inodes=free_inodes,
            )
        return None


def parse(lines: Sequence[str]) -> Look:
    """Take an answer apart; never raises, whatever it is given."""
    look, key = Look(), ""
    for line in lines:
        word, *rest = line.split() or [""]
        if word == "@begin" and rest:
            key = rest[0]
            look.texts[key] = []
        elif word == "@end" and key:
            code = _whole_number("".join(rest))
            look.codes[key] = 1 if code is None else code
            key = ""
        else:
            if key:
                look.texts[key].append(line)
            # ip's lines begin with numbers and prefixes: those are parsed whole.
            if key not in ("addr", "route"):
                look.words.setdefault(word, []).append(rest)
    return look


def _parse_route(words: Sequence[str]) -> NodeRoute | None:
    """Return a line of `ip route` as a route; None for what leads nowhere."""
    if not words:
        return None
    try:  # what leads nowhere begins with a word of its own: `unreachable 10.0.0.0/8`
        prefix = IPv4Network("0.0.0.0/0" if words[0] == "default" else words[0])
    except ValueError:
        return None
    after: dict[str, list[str]] = {"dev": [], "via": [], "src": []}
    for word, value in pairwise(words):
        if word in after:
            after[word].append(value)
    return NodeRoute(
        prefix=prefix,
        devices=tuple(dict.fromkeys(after["dev"])),
        gateways=tuple(after["via"]),
        source=next(iter(after["src"]), ""),
    )


def _lines_of_length(lines: Iterable[list[str]], length: int) -> list[list[str]]:
    return [words for words in lines if len(words) == length]


def _whole_number(word: str) -> int | None:
    """Return a number of at most 20 digits: of more, int() would take its time, or refuse."""
    if re.fullmatch(r"\d{1,20}", word, re.ASCII):
        return int(word)
    return None


def _hexadecimal(word: str) -> int:
    """Return a number as /sys writes its flags; 0 for anything else."""
    if re.fullmatch(r"0x[0-9a-f]{1,16}", word, re.ASCII):
        return int(word, 16)
    return 0


def _parse_interface(word: str) -> IPv4Interface | None:
    """Return an address with its prefix; None for anything else."""
    try:
        return IPv4Interface(word)
    except ValueError:
        return None
