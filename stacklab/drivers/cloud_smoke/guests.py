"""What the VMs of the proof can do: ping, log in to each other, read their metadata."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from stacklab.drivers.cloud_smoke.steps import (
    StepFailed,
    run_program,
    wait_until_nothing_is_missing,
)

_BOOT_S = 300.0
_SSH_S = 60.0
_METADATA_S = 240.0  # the proxy gives up after 32 s, and an emulated nova may take longer at first
# What neutron's metadata agent listens on, for every VM.
_METADATA = "169.254.169.254 80"
# As packer/openstack/tenant-init prints it.
_HOST_KEY = re.compile(r"^TENANT hostkey (ssh-ed25519 [A-Za-z0-9+/=]{40,120}) ", re.MULTILINE)
_PINGS = "/root/pings"
_LARGE_BYTES = 1400  # fits the tunnel's MTU; a smaller limit on the way would show


class Guests:
    """The VMs, by name; `floating` is how the host reaches them, `fixed` how they reach each other.

    `console` returns what a VM has printed: it is part of the message when a VM does not answer.
    """

    def __init__(
        self,
        fixed: Mapping[str, str],
        floating: Mapping[str, str],
        key: str,
        known_hosts: str,
        console: Callable[[str], str],
    ) -> None:
        self._fixed = fixed
        self._floating = floating
        self._key = key
        self._known_hosts = known_hosts
        self._console = console
        self._host_keys: dict[str, str] = {}

    def host_pings(self, name: str) -> str:
        """Ping a VM from this host, until it has booted."""
        address = self._floating[name]

        def look() -> str:
            # What every host of a lab has; ping need not be there.
            done = run_program(("fping", "-q", "-c", "1", "-t", "2000", address), 10)
            return "" if done.returncode == 0 else f"{address} does not answer pings"

        self._wait_for(name, look)
        return address

    def host_logs_in(self, name: str) -> str:
        """Log in to a VM from this host."""

        def look() -> str:
            done = self._ssh(name, "true")
            return "" if done.returncode == 0 else done.stderr.strip() or "ssh does not say why"

        self._learn_host_key(name)
        self._wait_for(name, look)
        return f"{self.run(name, 'cat /proc/uptime').split()[0]} s after its boot"

    def ping(self, one: str, other: str) -> str:
        """Ping one VM from another, over the tenants' network."""
        address = self._fixed[other]
        command = f"ping -c 3 -W 5 {address} && ping -c 1 -W 5 -s {_LARGE_BYTES} {address}"
        done = self._ssh(one, command)
        if done.returncode != 0:
            raise StepFailed(f"{done.stdout}{done.stderr}\n{self._console(other)}")
        return next((line for line in done.stdout.splitlines() if "packet loss" in line), "")

    def begin_pings(self, one: str, other: str) -> str:
        """Have a VM ping another until `end_pings`; returns the process."""
        command = f"ping {self._fixed[other]} > {_PINGS} 2>&1 < /dev/null & echo $!"
        return self.run(one, command).strip()

    def end_pings(self, one: str, process: str) -> str:
        """End them, and return how many were lost."""
        command = f"kill -INT {int(process)}; sleep 1; grep 'packet loss' {_PINGS}"
        return self.run(one, command).strip()

    def log_in(self, one: str, other: str) -> str:
        """Log in from one VM to another, with a key that the first makes for itself."""
        make_key = (
            "[ -e /root/key ] || dropbearkey -t ed25519 -f /root/key >/dev/null 2>&1; "
            "dropbearkey -y -f /root/key | grep '^ssh-'"
        )
        public_key = self.run(one, make_key).strip()
        self.run(other, f"echo '{public_key}' >> /root/.ssh/authorized_keys")
        # -y: the other VM made its host key a moment ago, which nobody else can have known.
        command = f"dbclient -y -i /root/key root@{self._fixed[other]} 'ip -4 -o address show eth0'"
        answer = self.run(one, f"{command} </dev/null")
        if self._fixed[other] not in answer:
            raise StepFailed(f"somebody else answered: {answer}")
        return self._fixed[other]

    def read_metadata(self, name: str) -> str:
        """Read a VM's own name from the metadata service, inside the VM."""
        request = r"printf 'GET /latest/meta-data/hostname HTTP/1.0\r\n\r\n'"
        answer = ""

        def look() -> str:
            nonlocal answer
            answer = self.run(name, f"{request} | nc -w 40 {_METADATA}")
            return "" if name in answer else f"the answer does not hold its name: {answer[:300]}"

        wait_until_nothing_is_missing(look, _METADATA_S)
        return answer.strip().splitlines()[-1]

    def _learn_host_key(self, name: str) -> None:
        """Take a VM's host key from its console, which nova vouches for.

        It makes a new one at each boot.
        """
        key = ""

        def look() -> str:
            nonlocal key
            printed = _HOST_KEY.findall(self._console(name))
            key = printed[-1] if printed else ""
            return "" if key else "its console does not show a host key"

        wait_until_nothing_is_missing(look, _BOOT_S)
        self._host_keys[name] = key
        lines = [f"{self._floating[known]} {key}\n" for known, key in self._host_keys.items()]
        Path(self._known_hosts).write_text("".join(lines))

    def _wait_for(self, name: str, look: Callable[[], str]) -> None:
        try:
            wait_until_nothing_is_missing(look, _BOOT_S)
        except StepFailed as error:
            raise StepFailed(f"{error}\n{self._console(name)}") from error

    def _ssh(self, name: str, command: str) -> subprocess.CompletedProcess[str]:
        options = (
            "BatchMode=yes",
            "ConnectTimeout=10",
            "LogLevel=ERROR",
            "IdentitiesOnly=yes",
            f"UserKnownHostsFile={self._known_hosts}",
            "StrictHostKeyChecking=yes",
        )
        words = ["ssh", "-F", "/dev/null", "-i", self._key]
        for option in options:
            words += ["-o", option]
        return run_program((*words, f"root@{self._floating[name]}", command), _SSH_S)

    def run(self, name: str, command: str) -> str:
        """Run a command in a VM; returns what it prints, raises StepFailed if it fails."""
        done = self._ssh(name, command)
        if done.returncode != 0:
            raise StepFailed(f"{command}: {done.stdout}{done.stderr}")
        return done.stdout
