"""Have libvirtd running, with systemd or without."""

from __future__ import annotations

import grp
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

from stacklab.errors import CommandFailed, ProviderError
from stacklab.process.command import Command, Runner, as_root

_SOCKET = Path("/run/libvirt/libvirt-sock")
_KVM = Path("/dev/kvm")
_UDEV = Path("/run/udev/control")
_SYSTEMD = Path("/run/systemd/system")
_LIMIT_S = 20.0
_POLL_S = 0.2
_GROUP_MAY_USE = 0o060  # read and write, which opening /dev/kvm takes


def ensure(
    runner: Runner, why_unreachable: Callable[[], str | None], say: Callable[[str], None]
) -> None:
    """Start libvirtd unless it answers; a lack of permission is left to `doctor` to explain.

    `why_unreachable` returns why libvirtd does not answer, or None. What it raises is raised here:
    a libvirtd that hangs is not started a second time.
    Where systemd is not PID 1, virtlogd and libvirtd are started as daemons.
    """
    repaired = _repair_kvm_node()
    if repaired:
        say(repaired)
    # With a socket, a user who gets no answer lacks a permission: a start would not help.
    if _SOCKET.exists():
        why = why_unreachable()
        if why is None or os.geteuid() != 0:
            return
    say("starting libvirtd")
    try:
        _start_daemons(runner)
    except CommandFailed as error:
        raise ProviderError(
            f"libvirtd can't be started\n{error}", hint="./invoke doctor"
        ) from error
    _wait_until_reachable(why_unreachable)


def _start_daemons(runner: Runner) -> None:
    for argv in _start_commands():
        # virtlogd refuses to start twice, with code 1, and that is fine.
        ok_codes = (0, 1) if argv[-2] == "virtlogd" else (0,)
        command = Command(
            argv=argv,
            what="starting libvirtd",
            ok_codes=ok_codes,
            timeout_s=_LIMIT_S,
        )
        runner.run(command)


def _wait_until_reachable(why_unreachable: Callable[[], str | None]) -> None:
    deadline = time.monotonic() + _LIMIT_S
    why = why_unreachable()
    while why is not None:
        if time.monotonic() > deadline:
            what = f"libvirtd was started, but does not answer after {_LIMIT_S:.0f} s: {why}"
            raise ProviderError(what, hint="./invoke doctor")
        time.sleep(_POLL_S)
        why = why_unreachable()


def _start_commands() -> tuple[tuple[str, ...], ...]:
    if _SYSTEMD.is_dir():
        return (as_root(("systemctl", "start", "libvirtd")),)
    # virtlogd first: libvirtd starts no domain without it.
    return (as_root(("virtlogd", "-d")), as_root(("libvirtd", "-d")))


def how_to_start() -> str:
    """Return what to type to start libvirtd."""
    return "; ".join(" ".join(argv) for argv in _start_commands())


def how_to_restart() -> str:
    """Return what to type when libvirtd hangs; running nodes survive it."""
    return f"{restart_line()} (nodes run on)"


def restart_line() -> str:
    """Return the line of shell that ends libvirtd, however it hangs, and starts it again."""
    sudo = "" if os.geteuid() == 0 else "sudo "
    if _SYSTEMD.is_dir():
        return f"{sudo}systemctl restart libvirtd"
    return f"{sudo}kill -9 $(cat /run/libvirtd.pid); {how_to_start()}"


def _repair_kvm_node() -> str | None:
    """Give /dev/kvm the owner that udev would give it, where no udev runs; returns what was done.

    libvirt probes QEMU as root but asks again as the guests' user. If only one of them may open
    /dev/kvm, it throws its cache away at every call and probes anew: 3 s each, minutes per lab.
    """
    if os.geteuid() != 0 or _UDEV.exists() or not _KVM.exists():
        return None
    try:
        group = grp.getgrnam("kvm").gr_gid
    except KeyError:
        return None  # nobody to give it to
    kvm = _KVM.stat()
    may_group_use_it = stat.S_IMODE(kvm.st_mode) & _GROUP_MAY_USE == _GROUP_MAY_USE
    if kvm.st_gid == group and may_group_use_it:
        return None
    os.chown(_KVM, -1, group)
    _KVM.chmod(0o660)
    return (
        "/dev/kvm: group kvm may open it now, as udev would have set it "
        "(libvirt re-probes QEMU at every call otherwise)"
    )
