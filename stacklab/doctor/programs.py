"""Probes of the programs that stacklab calls: installed, and not older than the tested ones."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from stacklab.doctor.machine import Machine
from stacklab.doctor.result import ProbeArea, ProbeResult, ProbeStatus
from stacklab.errors import LabError
from stacklab.process.command import Command

_PLUGIN = "vagrant-libvirt"
# Where packages of Debian put gems.
_GEM_SPECS = Path("/usr/share/rubygems-integration/all/specifications")
_PLUGIN_SPEC = re.compile(rf"{_PLUGIN}-(.*)\.gemspec", re.DOTALL)
_VERSION = re.compile(r"\d{1,6}(?:\.\d{1,6}){1,3}", re.ASCII)
_VERSION_LIMIT_S = 20  # Vagrant alone takes a second, on a host without load


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program, its packages, and how to ask for its version; `tested` is that of Debian 12."""

    name: str
    apt: str
    dnf: str
    version: tuple[str, ...] = ("--version",)
    tested: str = ""
    builds_images: bool = False  # needed only to build images
    only_for: str = ""  # the task that needs it, if lab.up does not: then it may be missing


PROGRAMS = (
    # To run nodes:
    Program(name="qemu-system-x86_64", apt="qemu-system-x86", dnf="qemu-system-x86", tested="7.2"),
    Program(name="qemu-img", apt="qemu-utils", dnf="qemu-img", tested="7.2"),
    Program(name="virsh", apt="libvirt-clients", dnf="libvirt-client", tested="9.0"),
    Program(name="vagrant", apt="vagrant", dnf="vagrant", tested="2.3.4"),
    # To build images:
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
    # To end other programs together with ours, to lock, and to reach nodes:
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
    Program(
        name="setfacl",
        apt="acl",
        dnf="acl",
        only_for="lab.up, to close nodes' disks to other users",
    ),
    Program(
        name="zstd", apt="zstd", dnf="zstd", tested="1.5", only_for="lab.export and lab.import"
    ),
)


def missing(machine: Machine, *, builds_image: bool = True) -> tuple[ProbeResult, ...]:
    """Return the programs that are not installed, and Vagrant's plugin; no program is run."""
    results: list[ProbeResult] = []
    for program in PROGRAMS:
        if program.only_for:  # `lab.up` can do without it
            continue
        if program.builds_images and not builds_image:
            continue
        if machine.which(program.name) is None:
            results.append(absent_result(machine, program))
    plugin = probe_plugin(machine)
    if plugin.is_failed:
        results.append(plugin)
    return tuple(results)


def probe_all(machine: Machine) -> tuple[ProbeResult, ...]:
    """Probe every program, all at once: Vagrant and Packer take a second to tell their version."""

    def probe(program: Program) -> ProbeResult:
        return probe_program(machine, program)

    with ThreadPoolExecutor() as pool:
        results = pool.map(probe, PROGRAMS)
        return (*results, probe_plugin(machine))


def probe_plugin(machine: Machine) -> ProbeResult:
    """Probe for Vagrant's libvirt provider, which a package or the user may have installed.

    Its files are looked for, because `vagrant plugin list` takes a second.
    """
    version = _packaged_plugin_version(machine)
    if version is not None:
        return _ok_result(_PLUGIN, f"{_PLUGIN} {version}, from the distribution")
    users_plugins = machine.read_text(machine.home / ".vagrant.d" / "plugins.json")
    if f'"{_PLUGIN}"' in users_plugins:
        return _ok_result(_PLUGIN, f"{_PLUGIN}, from the user's own plugins")
    install = _install_command(machine, _PLUGIN, _PLUGIN)
    fix = f"{install}  (or: vagrant plugin install {_PLUGIN})"
    return _failed_result(_PLUGIN, f"Vagrant's plugin {_PLUGIN} is not installed", fix)


def _packaged_plugin_version(machine: Machine) -> str | None:
    """Return the version of the plugin that a package of the distribution installed."""
    version = None
    # Sorted: of several, the last one is taken.
    for name in machine.list_dir(_GEM_SPECS):
        match = _PLUGIN_SPEC.fullmatch(name)
        if match:
            version = match[1]
    return version


def parse_version(text: str) -> str:
    """Return the first version number in a program's output, or ""."""
    match = _VERSION.search(text)
    return match[0] if match else ""


def is_older(version: str, floor: str) -> bool:
    """Return True if a version is lower than another one, compared part by part."""
    return _version_parts(version) < _version_parts(floor)


def _version_parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def probe_program(machine: Machine, program: Program) -> ProbeResult:
    """Probe if a program runs, and if it is not older than the tested one."""
    path = machine.which(program.name)
    if path is None:
        return absent_result(machine, program)
    command = Command(
        argv=(path, *program.version),
        what=f"asking {program.name} for its version",
        timeout_s=_VERSION_LIMIT_S,
    )
    try:
        result = machine.runner.run(command)
    except LabError as error:
        fix = _install_command(machine, program.apt, program.dnf)
        return _failed_result(program.name, f"{program.name} does not run: {error.message}", fix)
    # ssh and mke2fs print theirs to stderr.
    version = parse_version(result.stdout + result.stderr)
    if version and program.tested and is_older(version, program.tested):
        sentence = (
            f"{program.name} {version} is older than {program.tested}, the oldest that is tested"
        )
        fix = _install_command(machine, program.apt, program.dnf)
        return _tool_result(program.name, ProbeStatus.WARNING, sentence, fix)
    return _ok_result(program.name, f"{program.name} {version}".rstrip())


def absent_result(machine: Machine, program: Program) -> ProbeResult:
    """Return what to say of a program that is not installed."""
    sentence = f"{program.name} is not installed"
    fix = _install_command(machine, program.apt, program.dnf)
    # Most labs never run that task: they do without the program.
    if program.only_for:
        sentence += f": needed by {program.only_for}"
        return _tool_result(program.name, ProbeStatus.WARNING, sentence, fix)
    return ProbeResult(
        name=program.name,
        area=ProbeArea.TOOL,
        status=ProbeStatus.FAILED,
        sentence=sentence,
        fix=fix,
        is_not_installed=True,
    )


def _install_command(machine: Machine, apt: str, dnf: str) -> str:
    """Return the command by which this host installs a package."""
    for tool, package in (("apt-get", apt), ("dnf", dnf)):
        if machine.which(tool):
            return f"sudo {tool} install {package}"
    return f"install {apt} by this host's package manager"


def _tool_result(name: str, status: ProbeStatus, sentence: str, fix: str = "") -> ProbeResult:
    return ProbeResult(name=name, area=ProbeArea.TOOL, status=status, sentence=sentence, fix=fix)


def _ok_result(name: str, sentence: str) -> ProbeResult:
    return _tool_result(name, ProbeStatus.OK, sentence)


def _failed_result(name: str, sentence: str, fix: str) -> ProbeResult:
    return _tool_result(name, ProbeStatus.FAILED, sentence, fix)
