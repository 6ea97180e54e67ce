"""Make a lab's keys: its own pair, and the nodes' host keys, so that ssh trusts no unknown key."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from stacklab import files
from stacklab.model.lab import Lab
from stacklab.paths import LabPaths
from stacklab.process.command import Command, Runner
from stacklab.tools import ssh

_KEYS_AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """An ed25519 key: the private file's text, the public file's line."""

    private: str
    public: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The lab's key, which opens `stack` everywhere, and each node's host key."""

    lab: KeyPair
    hosts: Mapping[str, KeyPair]


def prepare(lab: Lab, paths: LabPaths, runner: Runner) -> Keys:
    """Make the keys that are missing, and write known_hosts and ssh_config from them."""
    for directory in (paths.keys, paths.sockets):
        files.make_directory(directory, mode=0o700)
        directory.chmod(0o700)
    # The comment of each key, by the path of its private file.
    comments = {paths.private_key: f"stacklab {lab.name}"}
    for node in lab.nodes:
        comments[paths.host_key(node.name)] = node.name

    def make_pair(path: Path) -> KeyPair:
        return _read_or_make_pair(path, comments[path], runner)

    # Side by side, for a lab of many nodes.
    with ThreadPoolExecutor(max_workers=_KEYS_AT_ONCE) as pool:
        all_pairs = pool.map(make_pair, comments)
        pairs = dict(zip(comments, all_pairs, strict=True))
    keys = Keys(
        lab=pairs[paths.private_key],
        hosts={node.name: pairs[paths.host_key(node.name)] for node in lab.nodes},
    )
    files.write(paths.known_hosts, known_hosts(lab, keys), mode=0o600)
    files.write(paths.ssh_config, ssh.render_config(lab, paths), mode=0o600)
    return keys


def known_hosts(lab: Lab, keys: Keys) -> str:
    """Return the lines of known_hosts: each node by its name and by each of its addresses."""
    lines = []
    for node in lab.nodes:
        kind, blob = keys.hosts[node.name].public.split()[:2]  # the comment is left out
        addresses = [str(nic.address.ip) for nic in node.nics]
        names = ",".join([node.name, *addresses])
        lines.append(f"{names} {kind} {blob}\n")
    return "".join(lines)


def _read_or_make_pair(path: Path, comment: str, runner: Runner) -> KeyPair:
    public = path.with_name(path.name + ".pub")
    if not (path.exists() and public.exists()):
        # ssh-keygen would ask before it overwrites what an interrupted run left.
        path.unlink(missing_ok=True)
        public.unlink(missing_ok=True)
        argv = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path))
        command = Command(
            argv=argv,
            what=f"making key {path.name}",
            timeout_s=60,
        )
        runner.run(command)
    return KeyPair(
        private=path.read_text(),
        public=public.read_text().strip(),
    )
