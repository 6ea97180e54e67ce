"""kcli, from PyPI: a plan of VMs that cloud-init configures."""

from __future__ import annotations

import shutil
from ipaddress import IPv4Network
from pathlib import Path

import yaml

from stacklab import files
from stacklab.dev.peers import peer
from stacklab.dev.peers.peer import CLOUD_INIT_IMAGE, LIMIT_S, RESTORE_LIMIT_S, OtherProgram, Site
from stacklab.dev.peers.race import Start
from stacklab.model.lab import Node
from stacklab.process.command import Command

_PLAN = "slpeer-kc"
_SNAPSHOT = "bench"
_GIB = 1024  # in MiB


class Kcli(OtherProgram):
    """See Peer. Its own snapshots hold disks and memory."""

    name = "kcli"
    word = "kc"
    network = IPv4Network("172.31.247.0/24")
    up_row = "kcli create plan"
    restore_row = "kcli revert plan-snapshot"

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._program = "kcli"

    def prepare(self) -> None:
        """See Peer.prepare: its pool, with the image in it as a volume."""
        venv = peer.prepare_venv(self.name, self.site)
        self._program = str(venv.program("kcli"))
        image = self.site.image(CLOUD_INIT_IMAGE)
        self.make_work()
        pool = self.work / "pool"
        pool.mkdir()
        # A copy: libvirt gives the files below a disk to QEMU's user.
        shutil.copyfile(image, pool / self._image)
        # kcli looks for keys and its configuration at home.
        peer.make_key(self.site, self._make_home() / "id_ed25519")
        files.write(self.work / "plan.yml", yaml.safe_dump(self.plan(), sort_keys=False))
        self._run("create", "pool", "-p", str(pool), self._pool)

    def up(self) -> Start:
        """See Peer.up."""
        return self.start(self._command("create", "plan", "-f", "plan.yml", _PLAN))

    def before_restore(self) -> None:
        """See Peer.before_restore."""
        self._run("create", "plan-snapshot", _PLAN, _SNAPSHOT)
        self._run("stop", "plan", _PLAN)

    def restore(self) -> Start:
        """See Peer.restore."""
        command = self._command("revert", "plan-snapshot", _PLAN, _SNAPSHOT)
        # It ends with 0 also if no snapshot was found.
        return self.start(command, limit_s=RESTORE_LIMIT_S)

    def down(self) -> None:
        """See Peer.down."""
        self._run("delete", "plan", "--yes", _PLAN)

    def plan(self) -> dict[str, object]:
        """Return the plan's file: its network, and the nodes on it."""
        network = {"type": "network", "cidr": str(self.network)}
        return {self._network: network} | {
            f"{self.prefix}{node.name}": self._vm(node) for node in self.site.lab.nodes
        }

    def _vm(self, node: Node) -> dict[str, object]:
        accelerator = self.site.accelerator
        entry: dict[str, object] = {
            "image": self._image,
            "pool": self._pool,
            "memory": node.memory.mib,
            "numcpus": node.cpus,
            "disks": [node.disk.mib // _GIB],
            "nets": [
                {
                    "name": self._network,
                    "nic": "eth0",
                    "ip": self.addresses[node.name],
                    "mask": str(self.network.netmask),
                }
            ],
            # It would install an agent from the Internet.
            "guestagent": False,
        }
        if not accelerator.is_kvm:
            # libvirt offers KVM also where it hangs every guest, and kcli would take it.
            entry |= {
                "virttype": accelerator.libvirt_driver,
                "cpumodel": accelerator.cpu_model,
                "nested": False,
            }
        return entry

    @property
    def _network(self) -> str:
        return f"{self.prefix}net"  # kcli gives the bridge the same name: 15 letters at most

    @property
    def _pool(self) -> str:
        return f"{self.prefix}pool"

    @property
    def _image(self) -> str:
        # Without the word debian: kcli would take the NICs' names for those of its images.
        return f"{self.prefix}image.qcow2"

    def _make_home(self) -> Path:
        directory = self.work / "home" / ".kcli"
        directory.mkdir(parents=True)
        local = {"type": "kvm", "host": "127.0.0.1", "pool": self._pool}
        config = {"default": {"client": "local"}, "local": local}
        files.write(directory / "config.yml", yaml.safe_dump(config))
        return directory

    def _command(self, *words: str) -> Command:
        return Command(
            argv=(self._program, *words),
            cwd=self.work,
            env={"HOME": str(self.work / "home"), "KCLI_CONFIG": None, "LC_ALL": "C.UTF-8"},
            log=self.site.log,
            timeout_s=LIMIT_S,
            what=f"bench: kcli {words[0]} {words[1]}",
        )

    def _run(self, *words: str) -> None:
        self.site.runner.run(self._command(*words))
