"""A bootable disk from packages: mmdebstrap, mke2fs and extlinux; no partition scan, no kpartx.

Recipe: facts/proven.md. Needs root, by sudo where we are not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stacklab.errors import CommandFailed, HostError, ImageError
from stacklab.images import mirror
from stacklab.images.catalogue import DISK, Image
from stacklab.paths import PROJECT
from stacklab.process import Command, Runner, as_root

_HOOKS = PROJECT / "packer" / "bootstrap"
_OFFSET = 1024 * 1024  # the partition begins at 1 MiB, as everybody's does
_MBR_CODE = tuple(
    Path(path)
    for path in (
        "/usr/lib/EXTLINUX/mbr.bin",
        "/usr/lib/syslinux/mbr/mbr.bin",
        "/usr/share/syslinux/mbr.bin",
    )
)
_MBR_BYTES = 440  # the rest of the sector is the partition table
_TIMEOUT_S = 1200.0
_NO_MIRROR = ("Failed to fetch", "Could not resolve", "Unable to fetch", "Connection failed")
# As root, mmdebstrap mounts /proc and more into the tree, in whoever's mount namespace it is; and it goes on
# without us if we are killed. In namespaces of its own, its mounts and processes end with ours.
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
    """A raw disk that boots, and its kernel beside it (to try an accelerator with)."""

    disk: Path
    kernel: Path


def recipe(image: Image) -> tuple[str, ...]:
    """What is run to make an image, without any path of this host: a part of the image's address."""
    return (
        *_mmdebstrap(image, Path("root"), hooks=Path("hooks"), sources=()),
        *_mke2fs(Path("root"), Path("disk")),
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
    """Make the disk in `work`, an empty directory; `build_key` is a public key that lets Packer in.

    Raises HostError where root's rights can't be had, ImageError when the mirror can't be reached,
    CommandFailed for anything else.
    """
    root, disk, mount, kernel = work / "root", work / "disk.raw", work / "mnt", work / "vmlinuz"
    _require_root(image, runner)
    code = _boot_code()
    mount.mkdir()
    say("fetching and unpacking packages")
    _install(image, build_key, root, runner, log)
    # by root: some systems' kernels are for root's eyes only
    argv = as_root(("install", "-m", "0644", str(root / "vmlinuz"), str(kernel)))
    runner.run(Command(argv=argv, what="taking the kernel out"))
    say("making the disk")
    _make_disk(root, disk, code, runner, log)
    argv = as_root(("unshare", "--mount", str(_HOOKS / "bootloader.sh"), str(disk), str(mount)))
    runner.run(Command(argv=argv, what="installing the boot loader", log=log, timeout_s=60))
    return Bootstrapped(disk=disk, kernel=kernel)


def _require_root(image: Image, runner: Runner) -> None:
    """Ask before the work, not in its midst."""
    if os.geteuid() == 0:
        return
    try:
        runner.run(Command(argv=as_root(("true",)), what="asking for root's rights"))
    except CommandFailed as error:
        raise HostError(
            f"making image {image.name} needs root's rights, and sudo gives them to you only with a password",
            hint=f"sudo ./invoke image.build {image.name}; every user's labs then share it",
        ) from error


def _boot_code() -> bytes:
    code = next((path for path in _MBR_CODE if path.is_file()), None)
    if code is None:
        raise ImageError(
            f"extlinux's boot code is missing: {_MBR_CODE[0]}", hint="apt-get install extlinux"
        )
    return code.read_bytes()[:_MBR_BYTES]


def _with_sbin() -> dict[str, str | None]:
    """The environment in which sfdisk and mke2fs are found: Debian keeps them off a user's PATH."""
    return {"PATH": f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/local/sbin:/usr/sbin:/sbin"}


def _mmdebstrap(
    image: Image, root: Path, *, hooks: Path, sources: Sequence[str]
) -> tuple[str, ...]:
    return (
        "mmdebstrap",
        "--variant=minbase",
        "--format=directory",
        f"--include={','.join(image.packages)}",
        "--aptopt=Apt::Install-Recommends false",
        "--aptopt=Acquire::Languages none",
        "--aptopt=Acquire::Retries 3",
        # a throw-away node has no reader for these, and they are a third of the files
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        f"--essential-hook={hooks / 'essential.sh'}",
        f"--customize-hook={hooks / 'customize.sh'}",
        image.suite,
        str(root),
        *sources,
    )


def _mke2fs(root: Path, disk: Path) -> tuple[str, ...]:
    return (
        "mke2fs",
        "-q",
        "-t",
        "ext4",
        "-L",
        "root",
        # extlinux reads neither; gdt_csum lets the kernel skip unused inode tables
        "-O",
        "^64bit,^metadata_csum,uninit_bg",
        # zeroed now, in the sparse file, so that no node's kernel zeroes them into its overlay
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


def _install(image: Image, build_key: Path, root: Path, runner: Runner, log: Path) -> None:
    argv = _mmdebstrap(image, root, hooks=_HOOKS, sources=mirror.apt_sources(image.suite, runner))
    # `env`, not Command.env: sudo would drop it
    argv = as_root((*_CONTAINED, "env", f"STACKLAB_BUILD_KEY={build_key}", *argv))
    try:
        what = f"bootstrapping {image.name}"
        runner.run(Command(argv=argv, what=what, env=_with_sbin(), log=log, timeout_s=_TIMEOUT_S))
    except CommandFailed as error:
        text = log.read_text(errors="replace")
        if any(sign in text for sign in _NO_MIRROR):
            raise ImageError(
                f"the package mirror for {image.suite} can't be reached\n{_first_failure(text)}\n  log: {log}",
                hint="check this host's APT sources: apt-get update; then the same command again",
            ) from error
        raise


def _first_failure(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith(("E:", "Err:", "W:"))]
    return "\n".join(f"  | {line}" for line in lines[:3])


def _make_disk(root: Path, disk: Path, code: bytes, runner: Runner, log: Path) -> None:
    """A partitioned raw disk, sparse, its file system filled from `root` and as large as it will ever be."""
    with disk.open("wb") as stream:
        stream.truncate(DISK.bytes)
    table = b"label: dos\nstart=2048, type=83, bootable\n"
    runner.run(
        Command(
            argv=("sfdisk", "-q", str(disk)),
            stdin=table,
            what="partitioning the disk",
            env=_with_sbin(),
        )
    )
    argv = as_root(_mke2fs(root, disk))
    runner.run(
        Command(
            argv=argv, what="making the root file system", env=_with_sbin(), log=log, timeout_s=300
        )
    )
    with disk.open("r+b") as stream:
        stream.write(code)
