"""Plain Vagrant: `vagrant up` of a box with default settings, and its own snapshots."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

from stacklab.dev.peers import peer
from stacklab.dev.peers.peer import LIMIT_S, RESTORE_LIMIT_S, OtherProgram, Site
from stacklab.dev.peers.race import Start
from stacklab.dev.plain_vagrant import PlainVagrant
from stacklab.nodes import archive
from stacklab.nodes.archive import Entry

_SNAPSHOT = "bench"
# The base image has no network of its own. libvirt's leases are found by MAC.
_NETWORKD = """\
[Match]
Name=eth0

[Network]
DHCP=ipv4
LinkLocalAddressing=no
IPv6AcceptRA=no

[DHCPv4]
ClientIdentifier=mac
"""


class VagrantPeer(OtherProgram):
    """See Peer. Its snapshots hold disks and memory, inside the nodes' qcow2 files."""

    name = "vagrant"
    word = "vg"
    network = IPv4Network("172.31.249.0/24")
    up_row = "vagrant up"
    restore_row = "vagrant snapshot restore"

    _management = IPv4Network("172.31.248.0/24")

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._vagrant = PlainVagrant(
            runner=site.runner, work=self.work, log=site.log, limit_s=LIMIT_S
        )

    def prepare(self) -> None:
        """See Peer.prepare: its box of the lab's own image, and a seed for each node."""
        image = self.site.image(self.site.lab_image)
        self.make_work()
        for key in ("key", "host_key"):
            peer.make_key(self.site, self.work / key)
        self._pool_directory.mkdir()
        for node in self.site.lab.nodes:
            self._make_seed(node.name)
        # Vagrant would make a pool of that name in a directory that is not ours.
        self.site.things.make_pool(self._pool, self._pool_directory)
        self._vagrant.write(self.settings())
        self._vagrant.add_box(self._box, image)

    def up(self) -> Start:
        """See Peer.up."""
        return self.start(self._vagrant.command("up", "--provider=libvirt"))

    def before_restore(self) -> None:
        """See Peer.before_restore."""
        self._run("snapshot", "save", _SNAPSHOT)
        self._run("halt", "--force")

    def restore(self) -> Start:
        """See Peer.restore."""
        words = ("snapshot", "restore", "--no-provision", _SNAPSHOT)
        return self.start(self._vagrant.command(*words), limit_s=RESTORE_LIMIT_S)

    def down(self) -> None:
        """See Peer.down."""
        self._run("destroy", "--force")

    def settings(self) -> dict[str, object]:
        """Return what vagrant/plain.Vagrantfile reads."""
        accelerator = self.site.accelerator
        return {
            "box": self._box,
            "private_key": str(self.work / "key"),
            "driver": accelerator.libvirt_driver,
            "cpu_model": "" if accelerator.is_kvm else accelerator.cpu_model,
            "pool": self._pool,
            "prefix": self.prefix,
            "networks": {
                "private": f"{self.prefix}net",
                "management": f"{self.prefix}mgmt",
                "management_cidr": str(self._management),
            },
            "seed_format": "qcow2",
            "nodes": [
                {
                    "name": node.name,
                    "address": self.addresses[node.name],
                    "cpus": node.cpus,
                    "memory_mib": node.memory.mib,
                    "seed": _seed_name(node.name),
                }
                for node in self.site.lab.nodes
            ],
        }

    def _run(self, *words: str) -> None:
        self.site.runner.run(self._vagrant.command(*words))

    def _make_seed(self, node: str) -> None:
        """Write the disk by which a node gets its name and its keys."""
        raw = self.work / f"{node}.seed.img"
        raw.write_bytes(archive.image(self._identity(node)))
        seed = self._pool_directory / _seed_name(node)
        self.site.run(
            "qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(seed),
            what=f"making the seed of {node}", limit_s=60,
        )  # fmt: skip

    def _identity(self, node: str) -> dict[str, Entry]:
        host_key, key = self.work / "host_key", self.work / "key"
        public = key.with_suffix(".pub").read_text()
        return {
            "etc/hostname": Entry(text=f"{node}\n"),
            "etc/ssh/ssh_host_ed25519_key": Entry(text=host_key.read_text(), mode=0o600),
            "etc/ssh/ssh_host_ed25519_key.pub": Entry(
                text=host_key.with_suffix(".pub").read_text()
            ),
            "etc/systemd/network/10-eth0.network": Entry(text=_NETWORKD),
            "home/stack/.ssh": Entry(text=None, mode=0o700, owner="stack"),
            "home/stack/.ssh/authorized_keys": Entry(text=public, mode=0o600, owner="stack"),
        }

    @property
    def _box(self) -> str:
        return f"{self.prefix}box"

    @property
    def _pool(self) -> str:
        return f"{self.prefix}pool"

    @property
    def _pool_directory(self) -> Path:
        return self.work / "pool"


def _seed_name(node: str) -> str:
    return f"{node}.seed.qcow2"
