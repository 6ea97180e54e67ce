"""Probes of the programs that stacklab calls: there, and as new as those it was tested with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from stacklab.doctor.machine import Machine
from stacklab.doctor.result import ProbeArea, ProbeResult, ProbeStatus
from stacklab.errors import LabError
from stacklab.process import Command

_PLUGIN = "vagrant-libvirt"
_GEM_SPECS = Path("/usr/share/rubygems-integration/all/specifications")
_VERSION = re.compile(r"\d{1,6}(?:\.\d{1,6}){1,3}", re.ASCII)
_VERSION_LIMIT_S = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program, how it tells its version, and who ships it. `tested` is Debian 12's, our floor."""

    name: str
    apt: str
    dnf: str
    version: tuple[str, ...] = ("--version",)
    tested: str = ""
    builds_images: bool = False  # needed only where an image has to be made
    only_for: str = ""  # what else than lab.up wants it: its absence is a warning


PROGRAMS = (
    Program(name="qemu-system-x86_64", apt="qemu-system-x86", dnf="qemu-system-x86", tested="7.2"),
    Program(name="qemu-img", apt="qemu-utils", dnf="qemu-img", tested="7.2"),
    Program(name="virsh", apt="libvirt-clients", dnf="libvirt-client", tested="9.0"),
    Program(name="vagrant", apt="vagrant", dnf="vagrant", tested="2.3.4"),
    Program(
        name="packer",
        apt="packer",
        dnf="packer",
        version=("version",),
        tested="1.6.6",
        builds_images=True,
    ),
    Program(
        name="mmdebstrap", apt="mmdebstrap", dnf="mmdebstrap", tested="1.3", builds_images=True
    ),
    Program(name="extlinux", apt="extlinux", dnf="syslinux-extlinux", builds_images=True),
    Program(name="sfdisk", apt="fdisk", dnf="util-linux", builds_images=True),
    Program(name="mke2fs", apt="e2fsprogs", dnf="e2fsprogs", version=("-V",), builds_images=True),
    Program(name="setpriv", apt="util-linux", dnf="util-linux"),
    Program(name="flock", apt="util-linux", dnf="util-linux"),
    Program(name="ssh", apt="openssh-client", dnf="openssh-clients", version=("-V",), tested="9.2"),
    Program(name="fping", apt="fping", dnf="fping"),
    Program(
        name="ebtables",
        apt="iptables",
        dnf="iptables-nft",
        version=("-V",),
        only_for="lab.fault partition",
    ),
)


def missing(machine: Machine, *, builds_image: bool = True) -> tuple[ProbeResult, ...]:
    """Only what is not installed, the Vagrant plugin among it: a few stat() calls, no program is run."""
    needed = [
        each for each in PROGRAMS if not each.only_for and (builds_image or not each.builds_images)
    ]
    absent = [
        _absent(machine, program) for program in needed if machine.which(program.name) is None
    ]
    plugin = probe_plugin(machine)
    return (*absent, plugin) if plugin.is_failed else tuple(absent)


def probe_all(machine: Machine) -> tuple[ProbeResult, ...]:
    """Every program with its version, asked all at once: Vagrant and Packer are slow to answer."""
    with ThreadPoolExecutor() as pool:
        return (
            *pool.map(lambda program: _probe(machine, program), PROGRAMS),
            probe_plugin(machine),
        )


def probe_plugin(machine: Machine) -> ProbeResult:
    """Whether Vagrant has its libvirt provider: from the distribution's files or the user's own list.

    `vagrant plugin list` takes a second.
    """
    prefix = f"{_PLUGIN}-"
    gems = [
        name
        for name in machine.list_dir(_GEM_SPECS)
        if name.startswith(prefix) and name.endswith(".gemspec")
    ]
    if gems:
        version = gems[-1].removeprefix(prefix).removesuffix(".gemspec")
        return _ok(_PLUGIN, f"{_PLUGIN} {version}, from the distribution")
    if f'"{_PLUGIN}"' in machine.read_text(machine.home / ".vagrant.d" / "plugins.json"):
        return _ok(_PLUGIN, f"{_PLUGIN}, from the user's own plugins")
    fix = _install(machine, _PLUGIN, _PLUGIN) + f"  (or: vagrant plugin install {_PLUGIN})"
    return _failed(_PLUGIN, f"Vagrant's plugin {_PLUGIN} is not installed", fix)


def parse_version(text: str) -> str:
    """The first version number in what a program says of itself; empty when there is none."""
    match = _VERSION.search(text)
    return match[0] if match else ""


def is_older(version: str, floor: str) -> bool:
    """Compare two dotted numbers part by part."""
    return _parts(version) < _parts(floor)


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _probe(machine: Machine, program: Program) -> ProbeResult:
    path = machine.which(program.name)
    if path is None:
        return _absent(machine, program)
    command = Command(
        argv=(path, *program.version),
        what=f"asking {program.name} for its version",
        timeout_s=_VERSION_LIMIT_S,
    )
    try:
        result = machine.runner.run(command)
    except LabError as error:
        fix = _install(machine, program.apt, program.dnf)
        return _failed(program.name, f"{program.name} does not run: {error.message}", fix)
    version = parse_version(result.stdout + result.stderr)
    if version and program.tested and is_older(version, program.tested):
        sentence = (
            f"{program.name} {version} is older than {program.tested}, the oldest that is tested"
        )
        fix = _install(machine, program.apt, program.dnf)
        return _result(program.name, ProbeStatus.WARNING, sentence, fix)
    return _ok(program.name, f"{program.name} {version}".rstrip())


def _absent(machine: Machine, program: Program) -> ProbeResult:
    sentence, fix = f"{program.name} is not installed", _install(machine, program.apt, program.dnf)
    if program.only_for:
        return _result(
            program.name, ProbeStatus.WARNING, f"{sentence}: {program.only_for} wants it", fix
        )
    return _failed(program.name, sentence, fix)


def _install(machine: Machine, apt: str, dnf: str) -> str:
    """The command that this host installs packages with."""
    ways: Sequence[tuple[str, str]] = (("apt-get", apt), ("dnf", dnf))
    tool, package = next(
        ((tool, package) for tool, package in ways if machine.which(tool)), ("", apt)
    )
    return (
        f"sudo {tool} install {package}"
        if tool
        else f"install {package} by this host's package manager"
    )


def _result(name: str, status: ProbeStatus, sentence: str, fix: str = "") -> ProbeResult:
    return ProbeResult(name=name, area=ProbeArea.TOOL, status=status, sentence=sentence, fix=fix)


def _ok(name: str, sentence: str) -> ProbeResult:
    return _result(name, ProbeStatus.OK, sentence)


def _failed(name: str, sentence: str, fix: str) -> ProbeResult:
    return _result(name, ProbeStatus.FAILED, sentence, fix)
