"""Word the errors of machine.sh: what failed, the last lines that it wrote, and what to type."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from stacklab.errors import ProviderError
from stacklab.foreign import printable

_SYSTEM = Path("/sys")
_MOST_LINES = 10
# What could not be done, by machine.sh's actions.
_FAILED = {
    "start": "could not be started",
    "stop": "could not be asked to shut down",
    "kill": "could not be ended",
    "set-aside": "could not have its disk frozen",
    "take-back": "could not get its disk back",
    "remove": "could not be removed",
    "freeze": "could not be paused",
    "thaw": "could not be resumed",
    "link-up": "could not get the link of a NIC back",
    "link-down": "could not lose the link of a NIC",
    "plug": "could not get a NIC back",
    "unplug": "could not lose a NIC",
}
# EACCES and EPERM, as mount and unshare word them.
_FORBIDDEN = re.compile(
    r"\b(mount|unshare)\b.*(permission denied|operation not permitted)", re.IGNORECASE
)
_APPARMOR = (
    "AppArmor may forbid it. sudo dmesg | grep DENIED names the profile, sudo aa-complain PROFILE "
    "switches it off"
)
_SELINUX = (
    "SELinux may forbid it. sudo ausearch -m avc -ts recent names the rule, sudo setenforce 0 "
    "switches it off until the next boot"
)
# ENOSPC and EDQUOT, as programs word them.
_FULL = re.compile("no space left on device|disk quota exceeded", re.IGNORECASE)
# Of sudo itself, which speaks before machine.sh does.
_NO_SUDO = re.compile(
    r"sudo: .*\b(password|terminal|tty)\b"
    r"|.*\b(not in the sudoers file|not allowed to (execute|run))"
)
# `sudo -v` does not help: its ticket is the terminal's, which our programs do not have.
_SUDO = "use sudo without a password (sudo visudo), or be root; then the same command again"


def error(
    node: str,
    action: str,
    output: str,
    *,
    lab: str,
    home: Path,
    why: str = "",
    system: Path = _SYSTEM,
) -> ProviderError:
    """Return the error of an action that failed; `output` is what machine.sh wrote.

    `home` is where labs are kept.
    """
    is_full = _FULL.search(output) is not None
    if is_full:
        why = why or f"the disk under {home} is full"
    sentence = f"{node}: its container {_FAILED[action]}"
    if why:
        sentence += f": {why}"
    # A node's console is in it.
    lines = printable(output.strip(), indent="").splitlines()[-_MOST_LINES:]
    message = "\n".join([sentence, *(f"  | {line}" for line in lines)])
    if is_full:
        look = f"df -h {shlex.quote(str(home))}; make room there; then the same command again"
        return ProviderError(message, hint=look)
    return ProviderError(message, hint=_next_step(action, output, lab, system))


def _next_step(action: str, output: str, lab: str, system: Path) -> str:
    if _NO_SUDO.match(output):
        return _SUDO
    if action != "start":
        return f"./invoke lab.status {lab}"
    again = f"./invoke lab.up {lab}"
    if _FORBIDDEN.search(output):
        if _read(system / "module/apparmor/parameters/enabled") == "Y":
            return f"{_APPARMOR}; then {again}"
        if _read(system / "fs/selinux/enforce") == "1":
            return f"{_SELINUX}; then {again}"
    return f"./invoke doctor {lab}, then {again}"


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
