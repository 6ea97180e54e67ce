"""Paths of every file that stacklab makes: one property per file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from stacklab.errors import LabError
from stacklab.paths.names import PRISTINE, is_lab_name
from stacklab.paths.snapshot_files import SnapshotFiles

DEFAULT_ROOT = Path("/var/lib/stacklab")


@dataclass(frozen=True, slots=True)
class HostPaths:
    """Paths that all labs and all checkouts of a host share."""

    root: Path

    @classmethod
    def default(cls) -> HostPaths:
        """Return `STACKLAB_HOME`, or /var/lib/stacklab: all checkouts of a host share it."""
        chosen = os.environ.get("STACKLAB_HOME")
        if not chosen:  # set, but empty, would be the working directory
            return cls(DEFAULT_ROOT)
        # Absolute: libvirt and later commands read these files from other working directories.
        return cls(Path(os.path.normpath(Path(chosen).absolute())))

    @property
    def images(self) -> Path:
        """Base images, read-only, named by content address, each with its .json manifest."""
        return self.root / "images"

    @property
    def building(self) -> Path:
        """One directory per build that runs; gone when it ends."""
        return self.root / "building"

    @property
    def downloads(self) -> Path:
        """Verified and partial downloads of cloud images and ISOs."""
        return self.root / "downloads"

    @property
    def volumes(self) -> Path:
        """The libvirt pool's directory: overlays and seeds of every lab."""
        return self.root / "volumes"

    @property
    def labs(self) -> Path:
        """One directory per lab."""
        return self.root / "labs"

    @property
    def snapshots(self) -> Path:
        """One directory per lab that has snapshots; they outlive their lab."""
        return self.root / "snapshots"

    @property
    def locks(self) -> Path:
        """flock files; deleting them is safe when nothing runs."""
        return self.root / "locks"

    @property
    def logs(self) -> Path:
        """Output of image builds and of the bench."""
        return self.root / "logs"

    def manifest(self, key: str) -> Path:
        """Return the manifest of a base image, which lies beside its disk."""
        return self.images / f"{key}.json"

    def root_disk(self, key: str) -> Path:
        """Return the base image as a raw disk, which containers mount."""
        return self.images / f"{key}.raw"

    def root_facts(self, key: str) -> Path:
        """Return what is known of that raw disk: its digest, and where its root file system is."""
        return self.images / f"{key}.raw-facts"

    @property
    def git(self) -> Path:
        """The mirror of git that `mirror.fill` makes: a bare repository for each project."""
        return self.root / "git"

    @property
    def settings(self) -> Path:
        """What its owner wants of this host: written by people."""
        return self.root / "settings.yaml"

    @property
    def accelerator(self) -> Path:
        """The cached verdict on KVM, per kernel."""
        return self.root / "accelerator.json"

    @property
    def boot_times(self) -> Path:
        """How long nodes of each kind last took until they answered."""
        return self.root / "boot-times.json"

    def recorded_labs(self) -> tuple[str, ...]:
        """Return the name of every lab that has a record on this host, sorted."""
        names: list[str] = []
        for path in self.labs.glob("*/record.json"):
            name = path.parent.name
            if is_lab_name(name):  # not "mylab.bak"
                names.append(name)
        return tuple(sorted(names))

    def lab(self, name: str) -> LabPaths:
        """Return the paths of one lab; raises LabError if no lab can have that name.

        `lab.destroy ..` must not remove a directory that is not a lab's.
        """
        if not is_lab_name(name):
            raise LabError(f"{name!a} is not a lab's name", hint="./invoke lab.list")
        return LabPaths(host=self, name=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabPaths:
    """Paths that one lab owns on this host."""

    host: HostPaths
    name: str

    @property
    def root(self) -> Path:
        """The lab's directory: `vagrant ssh NODE` works in it."""
        return self.host.labs / self.name

    @property
    def record(self) -> Path:
        """The list of what exists of the lab, which is written before that is made."""
        return self.root / "record.json"

    @property
    def resolved(self) -> Path:
        """The resolved lab that was brought up: what a changed spec is compared with."""
        return self.root / "resolved.json"

    @property
    def machines(self) -> Path:
        """The nodes and networks, for the Vagrantfile beside it."""
        return self.root / "lab.json"

    @property
    def containers(self) -> Path:
        """What each node that is a container is started with, for the containers provider."""
        return self.root / "containers.json"

    @property
    def vagrantfile(self) -> Path:
        """A copy of vagrant/Vagrantfile, so that the lab outlives the checkout."""
        return self.root / "Vagrantfile"

    @property
    def secrets(self) -> Path:
        """Passwords of this lab, 0600."""
        return self.root / "secrets.json"

    @property
    def keys(self) -> Path:
        """The lab's key pair and each node's host key."""
        return self.root / "keys"

    @property
    def private_key(self) -> Path:
        """The ed25519 key that opens `stack` on every node."""
        return self.keys / "id_ed25519"

    def host_key(self, node: str) -> Path:
        """A node's private host key; its public half is in known_hosts."""
        return self.keys / f"{node}.host_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The nodes' host keys, made by us, so nothing is taken on trust."""
        return self.root / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        """For `ssh -F`: one entry per node, shared connections."""
        return self.root / "ssh_config"

    @property
    def sockets(self) -> Path:
        """Shared ssh connections, one socket per node; a socket's path may have 107 bytes."""
        return self.root / "ctl"

    @property
    def faults(self) -> Path:
        """The faults that `lab.fault` has made, and has to undo."""
        return self.root / "faults.json"

    @property
    def impaired(self) -> Path:
        """The nodes whose NICs were ever given a delay, a loss or a rate."""
        return self.root / "impaired.json"

    @property
    def git_daemon(self) -> Path:
        """The process id of the git daemon that serves the lab's nodes; its mark, too."""
        return self.root / "git-daemon.pid"

    @property
    def host_guard(self) -> Path:
        """Says whether this host is closed to the lab's nodes, or why it could not be closed."""
        return self.root / "host-guard"

    @property
    def answers(self) -> Path:
        """Rendered answer files: answers/<node>/<path on the node>."""
        return self.root / "answers"

    @property
    def cloud(self) -> Path:
        """What clients of the lab's cloud use: credentials, the tenants' image."""
        return self.root / "cloud"

    @property
    def clouds_yaml(self) -> Path:
        """The client's configuration, with the administrator's password."""
        return self.cloud / "clouds.yaml"

    @property
    def authority(self) -> Path:
        """The certificate by which the cloud's clients know its APIs, where they have TLS."""
        return self.cloud / "authority.pem"

    @property
    def logs(self) -> Path:
        """Output of Vagrant, events, and the nodes' consoles."""
        return self.root / "logs"

    @property
    def stack(self) -> Path:
        """What `lab.stack` keeps: its journal, and the stages' logs."""
        return self.root / "stack"

    @property
    def journal(self) -> Path:
        """Which stages of the installer ran, with which inputs, and how they ended."""
        return self.stack / "journal.jsonl"

    @property
    def stack_logs(self) -> Path:
        """All output of each stage, 0600, secrets masked."""
        return self.stack / "logs"

    @property
    def vagrant_log(self) -> Path:
        """Output of Vagrant."""
        return self.logs / "vagrant.log"

    @property
    def events(self) -> Path:
        """The commands that changed the lab, and how they ended."""
        return self.logs / "events.log"

    @property
    def older_events(self) -> Path:
        """The event log before that one."""
        return self.logs / "events.log.1"

    def console(self, node: str) -> Path:
        """Return the file with the output of a node's serial console."""
        return self.logs / f"{node}.console.log"

    def overlay(self, node: str) -> Path:
        """A node's disk: a qcow2 on the read-only base image."""
        return self.host.volumes / f"{self.name}_{node}.qcow2"

    def further_disk(self, node: str, disk: str) -> Path:
        """A disk that a node has beside that one; no node's name has a dot in it."""
        return self.host.volumes / f"{self.name}_{node}.{disk}.qcow2"

    def shared_disk(self, disk: str) -> Path:
        """A disk that several nodes have: raw, because QEMU shares no other format."""
        return self.host.volumes / f"{self.name}.shared.{disk}.raw"

    def seed(self, node: str) -> Path:
        """A node's identity (keys, addresses, answers): a tar written as a raw disk."""
        return self.host.volumes / f"{self.name}_{node}.seed.img"

    def container(self, node: str) -> Path:
        """A container's directory: what the node has written, and where its root is mounted."""
        return self.host.volumes / f"{self.name}_{node}.container"

    def container_below(self, node: str) -> Path:
        """The name of the frozen disk below what a container writes; none: the image itself."""
        return self.host.volumes / f"{self.name}_{node}.container.below"

    def disks(self, node: str) -> tuple[Path, ...]:
        """Return all that can hold what a node has written, and its identity."""
        container = (self.container(node), self.container_below(node))
        further = sorted(self.host.volumes.glob(f"{self.name}_{node}.disk*.qcow2"))
        return (self.overlay(node), *further, *container, self.seed(node))

    @property
    def snapshots(self) -> Path:
        """The lab's snapshots: a directory for each, and the disks that they share."""
        return self.host.snapshots / self.name

    @property
    def frozen_disks(self) -> Path:
        """What nodes had written when a snapshot was made: read-only, below later disks."""
        return self.snapshots / "disks"

    def pristine(self) -> SnapshotPaths:
        """Return the paths of the snapshot that `lab.up` makes, and comes from the next time."""
        return SnapshotPaths(lab=self, name=PRISTINE)

    @property
    def snapshot_intent(self) -> Path:
        """The snapshot that is being made or restored: what a killed command has left undone."""
        return self.snapshots / "intent.json"

    def staging(self) -> SnapshotPaths:
        """Return where `lab.import` unpacks a snapshot: none can have its name."""
        return SnapshotPaths(lab=self, name=".import")

    def snapshot_names(self) -> tuple[str, ...]:
        """Return the name of every snapshot that has a manifest, sorted."""
        return tuple(sorted(path.parent.name for path in self.snapshots.glob("*/manifest.json")))

    def snapshot(self, name: str) -> SnapshotPaths:
        """Return the paths of one snapshot; raises LabError if none can have that name.

        `lab.snapshot-delete LAB ..` must not remove a directory that is not a snapshot's.
        """
        if not is_lab_name(name) or name == self.frozen_disks.name:
            raise LabError(
                f"{name!a} can't be a snapshot's name",
                hint="use lower case letters, digits and -: before-upgrade",
            )
        return SnapshotPaths(lab=self, name=name)

    @property
    def lock(self) -> Path:
        """Held by whatever changes this lab."""
        return self.host.locks / f"lab.{self.name}.lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotPaths(SnapshotFiles):
    """Paths of one snapshot of a lab."""

    lab: LabPaths
    name: str

    @property
    def root(self) -> Path:
        """The snapshot's directory, 0700: memory and keys of nodes are in it."""
        return self.lab.snapshots / self.name
