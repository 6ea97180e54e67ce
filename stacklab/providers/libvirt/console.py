"""The serial console of a libvirt node."""

from __future__ import annotations

from stacklab.tools.libvirt.connection import URI

# The first port is the kernel's log, the second one a login.
_LOGIN_PORT = "serial1"


def console_argv(domain: str) -> tuple[str, ...]:
    """Return the command that is a terminal on a domain's console."""
    return ("virsh", "-c", URI, "console", domain, "--devname", _LOGIN_PORT)


def state_command(domain: str) -> str:
    """Return what to type to see what a domain does, and why."""
    return f"virsh -c {URI} domstate --reason {domain}"
