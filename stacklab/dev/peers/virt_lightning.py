"""virt-lightning, from PyPI: VMs that cloud-init configures."""

from __future__ import annotations

import configparser
import io
import shutil
from ipaddress import IPv4Network

import yaml

from stacklab import files
from stacklab.dev.peers import peer
from stacklab.dev.peers.peer import CLOUD_INIT_IMAGE, LIMIT_S, OtherProgram, Site
from stacklab.dev.peers.race import Start
from stacklab.model.lab import Node
from stacklab.paths.project import PACKAGE
from stacklab.process.command import Command

_DRIVER = PACKAGE / "drivers" / "virt_lightning_here.py"
_CONTEXT = "slpeer-vl"
_DISTRO = "slpeer"  # the image's name
_GIB = 1024  # in MiB


class VirtLightning(OtherProgram):
    """See Peer. It has no snapshots."""

    name = "virt-lightning"
    word = "vl"
    network = IPv4Network("172.31.246.0/24")
    up_row = "vl up"

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._python = "python3"

    def prepare(self) -> None:
        """See Peer.prepare: its pool's directory, with the image where it looks for images."""
        venv = peer.prepare_venv(self.name, self.site)
        self._python = str(venv.python)
        image = self.site.image(CLOUD_INIT_IMAGE)
        self.make_work()
        upstream = self.work / "pool" / "upstream"
        upstream.mkdir(parents=True)
        # A copy: libvirt gives the files below a disk to QEMU's user.
        shutil.copyfile(image, upstream / f"{_DISTRO}.qcow2")
        peer.make_key(self.site, self.work / "key")
        files.write(self.work / "config.ini", self.config(), mode=0o600)
        files.write(self.work / "nodes.yaml", yaml.safe_dump(self.nodes(), sort_keys=False))

    def up(self) -> Start:
        """See Peer.up."""
        words = ("up", "--virt-lightning-yaml", "nodes.yaml", "--context", _CONTEXT)
        return self.start(self._command(*words))

    def down(self) -> None:
        """See Peer.down."""
        self.site.runner.run(self._command("down", "--context", _CONTEXT))

    def config(self) -> str:
        """Return its configuration."""
        parser = configparser.ConfigParser()
        parser["main"] = {
            "network_name": f"{self.prefix}net",  # the bridge's name, too: 15 letters at most
            "network_cidr": str(self.network),
            "storage_pool": f"{self.prefix}pool",
            "ssh_key_file": str(self.work / "key.pub"),
            "root_password": peer.make_password(),
        }
        text = io.StringIO()
        parser.write(text)
        return text.getvalue()

    def nodes(self) -> list[dict[str, object]]:
        """Return the file with the nodes."""
        return [self._entry(node) for node in self.site.lab.nodes]

    def _entry(self, node: Node) -> dict[str, object]:
        return {
            "name": f"{self.prefix}{node.name}",
            "distro": _DISTRO,
            "memory": node.memory.mib,
            "vcpus": node.cpus,
            "username": "stack",
            "networks": [{"network": f"{self.prefix}net", "ipv4": self.addresses[node.name]}],
            "disks": [{"size": node.disk.mib // _GIB}],
        }

    def _command(self, *words: str) -> Command:
        accelerator = self.site.accelerator
        cpu_model = "" if accelerator.is_kvm else accelerator.cpu_model
        return Command(
            argv=(
                self._python,
                str(_DRIVER),
                str(self.work / "pool"),
                accelerator.libvirt_driver,
                cpu_model,
                "--config",
                str(self.work / "config.ini"),
                *words,
            ),
            cwd=self.work,
            # Else it would read the user's own configuration first.
            env={"HOME": str(self.work), "LC_ALL": "C.UTF-8"},
            log=self.site.log,
            timeout_s=LIMIT_S,
            what=f"bench: vl {words[0]}",
        )
