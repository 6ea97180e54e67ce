"""Bootstrap of a bootable disk from packages, by mmdebstrap, mke2fs and extlinux.

The file system is made inside the disk's file at an offset, so that neither kpartx nor a scan for
partitions is needed. It needs root, by sudo for other users.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stacklab.errors import CommandFailed, HostError, ImageError
from stacklab.images import mirror
from stacklab.images.catalogue import DISK, Image
from stacklab.paths.project import PROJECT
from stacklab.process.command import Command, Runner, as_root

_PACKER = PROJECT / "packer"
_HOOKS = _PACKER / "bootstrap"
_OFFSET = 1024 * 1024  # the partition begins at 1 MiB, as all partitioning tools do it
_MBR_CODE = tuple(
    Path(path)
    for path in (
        "/usr/lib/EXTLINUX/mbr.bin",
        "/usr/lib/syslinux/mbr/mbr.bin",
        "/usr/share/syslinux/mbr.bin",
    )
)
_MBR_BYTES = 440  # the rest of the first sector is the partition table
_TIMEOUT_S = 2400.0  # 640 packages and a bake on a busy machine take 7 to 9 minutes
_NO_MIRROR = ("Failed to fetch", "Could not resolve", "Unable to fetch", "Connection failed")
_BAKE = "bake: "  # begins each line of a bake.sh
# As root, mmdebstrap mounts /proc and more into the tree, and goes on if we are killed. In
# namespaces of its own, its mounts and processes end together with us.
_CONTAINED = (
    "setpriv",
    "--pdeathsig",
    "KILL",
    "unshare",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrapped:
    """A raw disk that boots, and its kernel, by which the accelerator is chosen."""

    disk: Path
    kernel: Path


def recipe(image: Image) -> tuple[str, ...]:
    """Return the commands that make an image, without paths of this host, for its address."""
    return (
        *_mmdebstrap_argv(
            image, Path("root"), hooks=Path("hooks"), bakes=Path("bakes"), sources=()
        ),
        *_mke2fs_argv(Path("root"), Path("disk")),
    )


def bootstrap(
    image: Image,
    build_key: Path,
    work: Path,
    runner: Runner,
    *,
    log: Path,
    say: Callable[[str], None],
) -> Bootstrapped:
    """Make the disk in `work`, an empty directory; Packer logs in by `build_key`, a public key.

    Raises HostError if sudo does not give root's rights, ImageError if the mirror can't be
    reached, and CommandFailed for anything else.
    """
    root = work / "root"
    disk = work / "disk.raw"
    mount = work / "mnt"
    kernel = work / "vmlinuz"
    # What may be amiss on this host comes first: packages take minutes.
    _require_root(image, runner)
    boot_code = _read_boot_code()
    mount.mkdir()
    say("fetching and unpacking packages")
    _install_packages(image, build_key, root, runner, log)
    # As root: some distributions let only root read the kernel.
    argv = as_root(("install", "-m", "0644", str(root / "vmlinuz"), str(kernel)))
    runner.run(Command(argv=argv, what="copying the kernel"))
    say("making the disk")
    _make_disk(root, disk, boot_code, runner, log)
    argv = as_root(("unshare", "--mount", str(_HOOKS / "bootloader.sh"), str(disk), str(mount)))
    runner.run(Command(argv=argv, what="installing the boot loader", log=log, timeout_s=60))
    return Bootstrapped(disk=disk, kernel=kernel)


def _require_root(image: Image, runner: Runner) -> None:
    """Ask for root's rights before the work begins, not after minutes of it."""
    if os.geteuid() == 0:
        return
    try:
        runner.run(Command(argv=as_root(("true",)), what="asking for root's rights"))
    except CommandFailed as error:
        raise HostError(
            f"making image {image.name} needs root's rights, "
            "and sudo gives them to you only with a password",
            hint=f"sudo ./invoke image.build {image.name}; every user's labs then share it",
        ) from error


def _read_boot_code() -> bytes:
    for path in _MBR_CODE:
        if path.is_file():
            return path.read_bytes()[:_MBR_BYTES]
    raise ImageError(
        f"extlinux's boot code is missing: {_MBR_CODE[0]}", hint="apt-get install extlinux"
    )


def _with_sbin() -> dict[str, str | None]:
    """Return an environment in which sfdisk and mke2fs are found, which a user's PATH lacks."""
    users_path = os.environ.get("PATH", "/usr/bin:/bin")
    return {"PATH": f"{users_path}:/usr/local/sbin:/usr/sbin:/sbin"}


def _mmdebstrap_argv(
    image: Image, root: Path, *, hooks: Path, bakes: Path, sources: Sequence[str]
) -> tuple[str, ...]:
    before: tuple[str, ...] = ()
    bake: tuple[str, ...] = ()
    if image.bake:
        before = (f"--essential-hook={bakes / image.bake / 'before.sh'}",)
        bake = (f"--customize-hook={bakes / image.bake / 'bake.sh'}",)
    return (
        "mmdebstrap",
        "--variant=minbase",
        "--format=directory",
        f"--include={','.join(image.packages)}",
        "--aptopt=Apt::Install-Recommends false",
        "--aptopt=Acquire::Languages none",
        "--aptopt=Acquire::Retries 3",
        # Nobody reads these on a throw-away node, and they are a third of all files.
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        f"--essential-hook={hooks / 'essential.sh'}",
        *before,
        f"--customize-hook={hooks / 'customize.sh'}",
        *bake,
        image.suite,
        str(root),
        *sources,
    )


def _mke2fs_argv(root: Path, disk: Path) -> tuple[str, ...]:
    return (
        "mke2fs",
        "-q",
        "-t",
        "ext4",
        "-L",
        "root",
        # extlinux can read neither of the first two; uninit_bg lets the kernel skip unused
        # inode tables.
        "-O",
        "^64bit,^metadata_csum,uninit_bg",
        # Inode tables are zeroed now, in the sparse file: else the kernel of every node would
        # zero them later, into its overlay.
        "-E",
        f"offset={_OFFSET},lazy_itable_init=0,lazy_journal_init=1",
        "-J",
        "size=64",
        "-m",
        "1",
        "-d",
        str(root),
        str(disk),
        f"{(DISK.bytes - _OFFSET) // 1024}k",
    )


def _install_packages(image: Image, build_key: Path, root: Path, runner: Runner, log: Path) -> None:
    sources = mirror.apt_sources(image.suite, runner)
    argv = _mmdebstrap_argv(image, root, hooks=_HOOKS, bakes=_PACKER, sources=sources)
    command = Command(
        # By the program `env` and not by Command.env, which sudo would drop.
        argv=as_root((*_CONTAINED, "env", f"STACKLAB_BUILD_KEY={build_key}", *argv)),
        what=f"bootstrapping {image.name}",
        env=_with_sbin(),
        log=log,
        timeout_s=_TIMEOUT_S,
    )
    try:
        runner.run(command)
    except CommandFailed as error:
        text = log.read_text(errors="replace")
        _raise_for_bake(image, text, log, error)
        is_mirror_s_fault = any(sign in text for sign in _NO_MIRROR)
        if not is_mirror_s_fault:
            raise
        raise ImageError(
            f"the package mirror for {image.suite} can't be reached\n"
            f"{_first_failures(text)}\n  log: {log}",
            hint="check this host's APT sources: apt-get update; then the same command again",
        ) from error


def _raise_for_bake(image: Image, text: str, log: Path, error: CommandFailed) -> None:
    """Raise ImageError if a step of the image's bake failed: its lines are not the log's last."""
    _, is_bakes_fault, rest = text.rpartition(f"\n{_BAKE}step ")
    if not is_bakes_fault:
        return
    headline, *lines = rest.splitlines()
    last_lines = [line.removeprefix(_BAKE) for line in lines if line.startswith(_BAKE)]
    shown = "".join(f"\n  | {line}" for line in last_lines)
    raise ImageError(
        f"image {image.name} can't be baked: step {headline}{shown}\n  log: {log}",
        hint=f"once its cause is gone: ./invoke image.build {image.name}",
    ) from error


def _first_failures(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith(("E:", "Err:", "W:"))]
    return "\n".join(f"  | {line}" for line in lines[:3])


def _make_disk(root: Path, disk: Path, boot_code: bytes, runner: Runner, log: Path) -> None:
    """Make a partitioned, sparse raw disk whose file system holds the content of `root`.

    The file system has its final size: it never has to grow.
    """
    with disk.open("wb") as stream:
        stream.truncate(DISK.bytes)
    partitioning = Command(
        argv=("sfdisk", "-q", str(disk)),
        # In sectors of 512 bytes: the partition begins at _OFFSET.
        stdin=b"label: dos\nstart=2048, type=83, bootable\n",
        what="partitioning the disk",
        env=_with_sbin(),
    )
    runner.run(partitioning)
    making = Command(
        argv=as_root(_mke2fs_argv(root, disk)),  # root, who may read all files in the tree
        what="making the root file system",
        env=_with_sbin(),
        log=log,
        timeout_s=300,
    )
    runner.run(making)
    # The first sector holds the partition table behind the boot code: it must not be truncated.
    with disk.open("r+b") as stream:
        stream.write(boot_code)
