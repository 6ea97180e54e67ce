"""A lab that is up and has logs; the programs are ours, the files are real."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from stacklab.errors import CommandFailed
from stacklab.process import Command, Result
from stacklab.providers.libvirt import logs as libvirt_logs
from stacklab.workflow.logs import logs
from stacklab.workflow.logs.logs import Written
from tests.unit.workflow.fake_host import FakeHost

PASSWORD = "Tr0ub4dorAndThree"
KEY = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtz"
PEM = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{KEY}\n-----END OPENSSH PRIVATE KEY-----\n"


def node_says(command: Command) -> Result:
    """A node's answer to the script, with what must never be shown in it."""
    marker = next(
        line for line in (command.stdin or b"").decode().splitlines() if line.startswith("m=")
    )[2:]
    sections = {
        "journal.txt": f"Nov 20 sudo: nova-manage --password {PASSWORD}\nlast line\n",
        "files/var/log/nova/nova-api.log": f"connection = mysql://nova:{PASSWORD}@10.0.0.1/nova\n",
        "files/opt/stack/logs/stack.sh.log": f"{KEY}\n{PEM}",
    }
    text = f"Debian GNU/Linux 12\n{marker} hello\n"
    for path, body in sections.items():
        text += f"{marker} begin {path}\n{body}\n{marker} end {path}\n"
    return Result(exit_code=0, stdout=text + f"{marker} bye\n")


class Stage:
    """A lab that is up; `take` collects its logs."""

    def __init__(self, host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.host = host
        self.tmp = tmp_path
        host.up()
        self.paths = host.lab()
        self.paths.secrets.write_text(json.dumps({"admin_password": PASSWORD, "empty": ""}))
        self.paths.private_key.write_text(PEM)
        self.paths.answers.mkdir(exist_ok=True)
        localrc = self.paths.answers / "controller" / "opt" / "stack" / "devstack" / "localrc"
        localrc.parent.mkdir(parents=True)
        localrc.write_text(
            f"ADMIN_PASSWORD={PASSWORD}\nHOST_IP=10.10.0.11\nOTHER_TOKEN=older1234567\n"
        )
        self.paths.console("controller").parent.mkdir(exist_ok=True)
        self.paths.console("controller").write_text(f"login: {PASSWORD}\nBooted\n")
        monkeypatch.setattr(libvirt_logs, "_QEMU_LOGS", tmp_path / "qemu")
        monkeypatch.setattr(libvirt_logs, "_DNSMASQ", tmp_path / "dnsmasq")
        (tmp_path / "qemu").mkdir()
        (tmp_path / "qemu" / "trio_controller.log").write_text("qemu started\n")
        for program in ("virsh", "ip", "bridge", "uname", "uptime", "free", "df", "vagrant", "git"):
            host.runner.on(program, stdout=f"{program} says\n")
        host.runner.on("qemu-system-x86_64", answer=CommandFailed("no\n  qemu"))
        firewall = "*filter\n[1:2] -A INPUT -i sl-trio0 -j DROP\n[1:2] -A INPUT -i theirs -j DROP\n"
        host.runner.on("iptables-save", stdout=firewall).on(
            "sudo", "-n", "iptables-save", stdout=firewall
        )
        self.ssh(node_says)

    def ssh(self, answer: Callable[[Command], Result] | BaseException) -> None:
        self.host.runner.on("ssh", answer=answer)

    def take(self, out: str = "bundle") -> Written:
        target = str(self.tmp / out)
        return logs.collect(
            self.host.context, "trio", target, index=lambda found: f"{logs.MARK} {found.lab}"
        )

    def text(self, path: str) -> str:
        return (self.tmp / "bundle" / path).read_text()


@pytest.fixture
def stage(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(host, tmp_path, monkeypatch)
