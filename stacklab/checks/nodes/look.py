"""What a node is asked about itself, in one part with few forks, and its answer. Pure."""

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
_IFF_UP = 1
_SECTOR = 512
_DEEPEST = 8  # partition on LVM on RAID on ...


def shell(kinds: Iterable[CheckKind]) -> str:
    """Return what a node has to run for checks of these kinds; "" where that is nothing."""
    wanted = set(kinds)
    lines = dict.fromkeys(
        line for kind, needs in _NEEDS.items() if kind in wanted for line in needs
    )
    return _FUNCTIONS + "\n".join(lines) if lines else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A NIC as the node has it."""

    mac: str
    mtu: int
    is_up: bool
    has_carrier: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
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
    """What stat -f says of the root file system; `available` is what `stack` may still write."""

    bytes: int
    free: int
    available: int
    inodes: int  # 0: it has no table of them
    free_inodes: int


@dataclass(slots=True, kw_only=True)
class Look:
    """One node's answer by what its lines begin with; what was not said is missing."""

    words: dict[str, list[list[str]]] = field(
        default_factory=dict
    )  # first word -> the others, by line
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
                said = "; ".join(self.texts[key])[:200]
                detail = f"{program} ended with {code}: {said}"
                return Verdict.error(Reason.PROGRAM_FAILED, detail, about=program)
        return Verdict.error(Reason.NO_ANSWER, "the node did not tell")

    def text(self, kind: CheckKind) -> str:
        """Return the lines that a check of that kind was judged by."""
        lines: list[str] = []
        for key in _OF_KIND[kind]:
            lines += self.texts.get(key) or [
                " ".join((key, *rest)) for rest in self.words.get(key, ())
            ]
        return "\n".join(lines)[-OUTPUT_MAX:]

    def first(self, key: str) -> str:
        """Return the first word after that one; "" if there is none."""
        found = self.words.get(key) or [[]]
        return found[0][0] if found[0] else ""

    def number(self, key: str) -> int | None:
        """Return that word as a whole number."""
        return _whole(self.first(key))

    def devices(self) -> dict[str, Device]:
        """Return its NICs and what else is a network device, by name."""
        found = {}
        for name, mac, mtu, flags, carrier in _of_length(self.words.get("nic", ()), 5):
            if (size := _whole(mtu)) is not None:
                is_up = bool(_hexadecimal(flags) & _IFF_UP)
                found[name] = Device(
                    mac=mac.lower(), mtu=size, is_up=is_up, has_carrier=carrier == "1"
                )
        return found

    def addresses(self) -> dict[str, list[IPv4Interface]] | None:
        """Return its addresses by device; None where ip failed."""
        if self.codes.get("addr") != 0:
            return None
        found: dict[str, list[IPv4Interface]] = {}
        for line in self.texts["addr"]:
            match = re.match(
                r"\d+: ([^\s@]+)\S*\s+inet ([\d.]+)(?: peer [\d.]+)?(/\d+)?", line, re.ASCII
            )
            if match and (address := _interface(match[2] + (match[3] or ""))):
                found.setdefault(match[1], []).append(address)
        return found

    def routes(self) -> list[Route] | None:
        """Return its routes in the kernel's order; None where ip failed."""
        if self.codes.get("route") != 0:
            return None
        return [
            route for line in self.texts["route"] if (route := _route(line.split())) is not None
        ]

    def root(self) -> tuple[str, str, str, set[str]] | None:
        """Return what is mounted on /: device number, source, type, options; None if unknown."""
        for words in reversed(self.words.get("mount", [])):  # the last one covers those before
            if "-" in words and len(words) >= words.index("-") + 4:
                kind, source, options = words[words.index("-") + 1 :][:3]
                return words[0], source, kind, {*words[1].split(","), *options.split(",")}
        return None

    def root_disk(self) -> Disk | None:
        """Return the disk that the root file system lies on, whatever is between."""
        root = self.root()
        blocks = {words[0]: words[1:] for words in self.words.get("block", ()) if len(words) >= 4}
        by_number = {words[0]: name for name, words in blocks.items()}
        # btrfs's devices have numbers that no disk has; then the name must do
        name = root and (by_number.get(root[0]) or root[1].rpartition("/")[2])
        for _ in range(_DEEPEST):
            if not name or name not in blocks:
                return None
            _, sectors, parent, *slaves = blocks[name]
            below = by_number.get(parent) or (slaves[0] if slaves else "")
            if not below:
                size = _whole(sectors)
                return None if size is None else Disk(name=name, bytes=size * _SECTOR)
            name = below
        return None

    def file_system(self) -> FileSystem | None:
        """Return the size and use of the root file system; None where stat failed."""
        for words in _of_length(self.words.get("fs", ()), 6):
            numbers = [number for word in words if (number := _whole(word)) is not None]
            if len(numbers) == 6:
                block, all_, free, available, inodes, free_inodes = numbers
                return FileSystem(
                    bytes=block * all_,
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
            code = _whole("".join(rest))
            look.codes[key] = 1 if code is None else code
            key = ""
        else:
            if key:
                look.texts[key].append(line)
            if key not in ("addr", "route"):
                look.words.setdefault(word, []).append(rest)
    return look


def _route(words: Sequence[str]) -> Route | None:
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
    return Route(
        prefix=prefix,
        devices=tuple(dict.fromkeys(after["dev"])),
        gateways=tuple(after["via"]),
        source=next(iter(after["src"]), ""),
    )


def _of_length(lines: Iterable[list[str]], length: int) -> list[list[str]]:
    return [words for words in lines if len(words) == length]


def _whole(word: str) -> int | None:
    return int(word) if re.fullmatch(r"\d{1,20}", word, re.ASCII) else None


def _hexadecimal(word: str) -> int:
    return int(word, 16) if re.fullmatch(r"0x[0-9a-f]{1,16}", word, re.ASCII) else 0


def _interface(word: str) -> IPv4Interface | None:
    try:
        return IPv4Interface(word)
    except ValueError:
        return None
