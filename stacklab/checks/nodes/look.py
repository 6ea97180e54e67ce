"""The questions that a node is asked about itself, in one part with few forks. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Interface

from stacklab.checks.nodes.readings import (
    DiskReading,
    FileSystem,
    NetworkDevice,
    NodeRoute,
    RootMount,
    parse_file_system,
    parse_hexadecimal,
    parse_interface,
    parse_mount,
    parse_route,
    parse_whole,
)
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
# A disk's serial is a text (virtio), or a page of SCSI's with four bytes before it.
serials() {
  set +f
  for block in /sys/class/block/[vsh]d*; do
    if [ -e "$block/partition" ]; then continue; fi
    serial=
    if [ -e "$block/serial" ]; then IFS= read -r serial <"$block/serial"
    elif [ -e "$block/device/vpd_pg80" ]; then
      serial=$(tail -c +5 "$block/device/vpd_pg80" | tr -cd '[:alnum:]_-')
    fi
    printf '%s\\n' "serial ${block##*/} $serial"
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
# Since when a container is up: the 22nd word of the first process' stat, which is the 20th
# behind its name in brackets, which may hold blanks.
began() {
  if IFS= read -r line </proc/1/stat; then
    set -- ${line##*) }
    printf '%s\\n' "began ${20-}"
  fi 2>/dev/null
}
# How many processors a container may use: /sys shows it all that the host has.
allowed() {
  while read -r key value; do
    case $key in Cpus_allowed_list:) printf '%s\\n' "allowed $value" ;; esac
  done </proc/self/status 2>/dev/null
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
    CheckKind.UPTIME: (_UPTIME, "began"),
    CheckKind.CPUS: (_CPUS, "allowed"),
    CheckKind.MEMORY: (_CRASH, _PROC),
    CheckKind.DISK: (_PROC, "blocks"),
    CheckKind.FURTHER_DISK: ("blocks", "serials"),
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
    CheckKind.FURTHER_DISK: "lsblk -b -d -o NAME,SIZE,SERIAL",
    CheckKind.ROOT: "df -h /; df -i /; grep ' / ' /proc/mounts",
    CheckKind.SWAP: "cat /proc/swaps",
    CheckKind.NIC: "ip addr",
    CheckKind.ROUTES: "ip -4 route",
}
# The programs behind the texts, by the word after @begin.
_PROGRAMS = {"proc": "sed", "fs": "stat", "addr": "ip", "route": "ip"}
# The lines that a check is judged by, by their first word or by their program.
_OF_KIND: Mapping[CheckKind, tuple[str, ...]] = {
    CheckKind.UPTIME: ("uptime", "began"),
    CheckKind.CPUS: ("online", "present", "allowed"),
    CheckKind.MEMORY: ("MemTotal:", "kexec_crash_size"),
    CheckKind.DISK: ("mount", "block"),
    CheckKind.FURTHER_DISK: ("block", "serial"),
    CheckKind.ROOT: ("mount", "block", "fs"),
    CheckKind.SWAP: ("SwapTotal:", "SwapFree:"),
    CheckKind.NIC: ("nic", "addr"),
    CheckKind.ROUTES: ("addr", "route"),
}
# As `ip -o addr` writes it: `2: eth0    inet 10.0.0.2/24 brd ...`, with a peer `inet A peer B/32`.
_ADDRESS_LINE = re.compile(
    r"\d+: (?P<name>[^\s@]+)\S*\s+inet (?P<address>[\d.]+)(?: peer [\d.]+)?(?P<length>/\d+)?",
    re.ASCII,
)
_IFF_UP = 1  # of /usr/include/linux/if.h
_SECTOR = 512  # bytes: /sys counts in these, whatever the disk's own sectors are
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
            code = self.codes.get(key)
            program = _PROGRAMS[key]
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
        lines = self.words.get(key)
        if not lines or not lines[0]:
            return ""
        return lines[0][0]

    def number(self, key: str) -> int | None:
        """Return that word as a whole number."""
        return parse_whole(self.first(key))

    def devices(self) -> dict[str, NetworkDevice]:
        """Return its NICs and what else is a network device, by name."""
        devices: dict[str, NetworkDevice] = {}
        for words in self.words.get("nic", ()):
            if len(words) != 5:
                continue
            name, mac, mtu_word, flags, carrier = words
            mtu = parse_whole(mtu_word)
            if mtu is None:
                continue
            devices[name] = NetworkDevice(
                mac=mac.lower(),
                mtu=mtu,
                is_up=bool(parse_hexadecimal(flags) & _IFF_UP),
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
            length = match["length"] or ""
            address = parse_interface(match["address"] + length)
            if address is not None:
                addresses.setdefault(match["name"], []).append(address)
        return addresses

    def routes(self) -> list[NodeRoute] | None:
        """Return its routes in the kernel's order; None where ip failed."""
        if self.codes.get("route") != 0:
            return None
        routes: list[NodeRoute] = []
        for line in self.texts["route"]:
            route = parse_route(line.split())
            if route is not None:
                routes.append(route)
        return routes

    def root(self) -> RootMount | None:
        """Return what is mounted on /; None if unknown."""
        # The last mount covers those before it: the initial file system is there as well.
        for words in reversed(self.words.get("mount", [])):
            mount = parse_mount(words)
            if mount is not None:
                return mount
        return None

    def root_disk(self) -> DiskReading | None:
        """Return the disk that the root file system lies on, whatever is between."""
        root = self.root()
        if root is None:
            return None
        lines = self.words.get("block", ())
        blocks = {words[0]: words[1:] for words in lines if len(words) >= 4}
        names = {number: name for name, (number, *_) in blocks.items()}
        # btrfs's devices have numbers that no disk has; then the name must do
        start = names.get(root.number) or root.source.rpartition("/")[2]
        return _disk_below(start, blocks, names)

    def disks_by_serial(self) -> dict[str, DiskReading]:
        """Return its disks whose serial it told, by that."""
        sectors = {words[0]: words[2] for words in self.words.get("block", ()) if len(words) >= 4}
        disks: dict[str, DiskReading] = {}
        for words in self.words.get("serial", ()):
            if len(words) != 2:
                continue
            name, serial = words
            count = parse_whole(sectors.get(name, ""))
            if count is not None:
                disks[serial] = DiskReading(name=name, bytes=count * _SECTOR)
        return disks

    def file_system(self) -> FileSystem | None:
        """Return the size and use of the root file system; None where stat failed."""
        for words in self.words.get("fs", ()):
            system = parse_file_system(words)
            if system is not None:
                return system
        return None


def _disk_below(
    name: str, blocks: Mapping[str, Sequence[str]], names: Mapping[str, str]
) -> DiskReading | None:
    """Follow a block device down to the disk that it lies on; None where that is not found.

    `blocks` has each device's number, sectors, parent ("-" for none) and slaves, `names`
    each device's name by its number. A partition has a parent, LVM and RAID have slaves.
    """
    for _ in range(_DEEPEST):
        if name not in blocks:
            return None
        _, sectors_word, parent, *slaves = blocks[name]
        below = names.get(parent) or next(iter(slaves), "")
        if not below:
            sectors = parse_whole(sectors_word)
            if sectors is None:
                return None
            return DiskReading(name=name, bytes=sectors * _SECTOR)
        name = below
    return None  # a ring: no node has that, but one may say so


def parse(lines: Sequence[str]) -> Look:
    """Take an answer apart; never raises, whatever it is given."""
    look = Look()
    key = ""  # of the program whose lines these are; "" between programs
    for line in lines:
        word, *rest = line.split() or [""]
        if word == "@begin" and rest:
            key = rest[0]
            look.texts[key] = []
        elif word == "@end" and key:
            code = parse_whole("".join(rest))
            look.codes[key] = 1 if code is None else code
            key = ""
        else:
            if key:
                look.texts[key].append(line)
            # ip's lines begin with numbers and prefixes: those are parsed whole.
            if key not in ("addr", "route"):
                look.words.setdefault(word, []).append(rest)
    return look
