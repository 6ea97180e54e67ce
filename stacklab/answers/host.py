"""Files that any installer profits from: where a node fetches packages, and its way out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from stacklab.answers.base import Step, bugs_on, is_in_cloud, release_of, shown
from stacklab.model import Lab, Mirrors, Node, Proxy

GIT_CONFIG = PurePosixPath("/etc/gitconfig")
PIP_CONF = PurePosixPath("/etc/pip.conf")
APT_PROXY = PurePosixPath("/etc/apt/apt.conf.d/90stacklab-proxy")
PROXY_ENVIRONMENT = PurePosixPath("/etc/profile.d/stacklab-proxy.sh")


def files(lab: Lab, mirrors: Mirrors) -> Mapping[str, Mapping[PurePosixPath, str]]:
    """Render them for every node; what the lab's stack says goes before the host's own settings."""
    found: dict[PurePosixPath, str] = {}
    if pip := lab.stack.mirrors.pip or mirrors.pip:
        found[PIP_CONF] = _pip(lab, pip)
    if mirrors.git:
        found[GIT_CONFIG] = _git(lab, mirrors.git)
    if lab.stack.proxy != Proxy():
        found[PROXY_ENVIRONMENT] = "".join(
            f"export {name}={value}\n" for name, value in proxy_variables(lab).items()
        )  # fmt: skip
        if lab.stack.proxy.http:
            found[APT_PROXY] = f'Acquire::http::Proxy "{lab.stack.proxy.http}";\n'
    return {node.name: dict(found) for node in lab.nodes}


def steps(lab: Lab) -> tuple[Step, ...]:
    """What is done on every node before its installer runs: APT's mirror, and the known bugs' work-arounds."""
    found: list[Step] = []
    release = release_of(lab)
    for node in lab.nodes:
        if not is_in_cloud(lab, node):
            continue
        if mirror := lab.stack.mirrors.apt:
            found.append(_apt_mirror(node, mirror))
        for bug in bugs_on(lab, release, node):
            found += [
                Step(node=node.name, user="root", title=f"work around {bug.id}: {bug.symptom}", command=command)
                for command in bug.commands
            ]
    return tuple(found)


def _apt_mirror(node: Node, mirror: str) -> Step:
    """Debian's and Ubuntu's sources, in either format, whatever they name now; debian-security stays."""
    mirror = mirror.rstrip("/")
    lists = "$(find /etc/apt -name '*.list' -o -name '*.sources')"
    pattern = f"s#https?://[^ ]*/(debian|ubuntu)/?( |$)#{mirror}\\2#"
    return Step(
        node=node.name,
        user="root",
        title="packages from your mirror",
        command=f"sed -i -E '{pattern}' {lists} && apt-get update",
        done=f"grep -qs {mirror} {lists}",
    )


def proxy_variables(lab: Lab) -> Mapping[str, str]:
    """http_proxy and its kin, for shells; the lab's own addresses are always reached directly."""
    proxy = lab.stack.proxy
    if proxy == Proxy():
        return {}
    own = [str(nic.address.ip) for node in lab.nodes for nic in node.nics]
    direct = dict.fromkeys(("localhost", "127.0.0.1", *own, *(node.name for node in lab.nodes), *proxy.no_proxy))
    found = {"http_proxy": proxy.http, "https_proxy": proxy.https or proxy.http, "no_proxy": ",".join(direct)}
    return {name: value for name, value in found.items() if value}


def _pip(lab: Lab, index: str) -> str:
    host = urlsplit(index).hostname or ""
    trusted = f"trusted-host = {host}\n" if index.startswith("http://") else ""
    header = f"# Rendered from {shown(lab.source)}: where this host, or the spec, has Python packages from."
    return f"{header}\n[global]\nindex-url = {index}\n{trusted}"


def _git(lab: Lab, urls: Sequence[tuple[str, str]]) -> str:
    header = f"# Rendered from {shown(lab.source)}: where this host's git fetches from, too.\n"
    return header + "".join(f'[url "{mirror}"]\n\tinsteadOf = {replaced}\n' for mirror, replaced in urls)
