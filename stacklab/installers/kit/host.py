"""Files that any installer profits from: where a node fetches packages, and its way out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from stacklab.installers.kit.release import workarounds
from stacklab.installers.kit.request import shown
from stacklab.installers.kit.roles import is_in_cloud
from stacklab.model.lab import Lab, Node
from stacklab.model.release import Release, When
from stacklab.model.stack import Mirrors, Proxy
from stacklab.stages.stage import MINUTE_S, Stage, Step

AUTHORITIES = PurePosixPath("/usr/local/share/ca-certificates")
GIT_CONFIG = PurePosixPath("/etc/gitconfig")
PIP_CONF = PurePosixPath("/etc/pip.conf")
APT_PROXY = PurePosixPath("/etc/apt/apt.conf.d/90stacklab-proxy")
PROXY_ENVIRONMENT = PurePosixPath("/etc/profile.d/stacklab-proxy.sh")


def files(lab: Lab, mirrors: Mirrors) -> Mapping[str, Mapping[PurePosixPath, str]]:
    """Render them for every node; what the lab's stack says goes before the host's own settings."""
    files_of_node: dict[PurePosixPath, str] = {}
    pip = lab.stack.mirrors.pip or mirrors.pip
    if pip or mirrors.authorities:
        files_of_node[PIP_CONF] = _pip(lab, pip, trusts=bool(mirrors.authorities))
    for name, text in mirrors.authorities:
        files_of_node[AUTHORITIES / f"stacklab-{name}.crt"] = text
    if mirrors.git:
        files_of_node[GIT_CONFIG] = _git(lab, mirrors.git)
    if lab.stack.proxy != Proxy():
        files_of_node[PROXY_ENVIRONMENT] = "".join(
            f"export {name}={value}\n" for name, value in proxy_variables(lab).items()
        )
        if lab.stack.proxy.http:
            files_of_node[APT_PROXY] = f'Acquire::http::Proxy "{lab.stack.proxy.http}";\n'
    return {node.name: dict(files_of_node) for node in lab.nodes}


def stage(lab: Lab, mirrors: Mirrors, running: Sequence[Release]) -> Stage:
    """Return what is done on every node of the cloud before its installer runs.

    That is trust in the host's authorities, APT's mirror, and the work-arounds of
    known bugs of the releases that will be running.
    """
    steps: list[Step] = []
    for node in lab.nodes:
        if not is_in_cloud(lab, node):
            continue
        if mirrors.authorities:
            steps.append(_trust(node))
        if mirror := lab.stack.mirrors.apt:
            steps.append(_apt_mirror(node, mirror))
        for release in running:
            steps += workarounds(lab, release, node, When.BEFORE)
    return Stage(
        name="settings",
        steps=tuple(steps),
        limit_s=30 * MINUTE_S,
        hint="the node may not reach a mirror of packages: try lab.check",
    )


def _trust(node: Node) -> Step:
    anchors = "/etc/pki/ca-trust/source/anchors"
    return Step(
        node=node.name,
        user="root",
        title="trust the authorities that the host trusts",
        command=f"if command -v update-ca-certificates; then update-ca-certificates; "
        f"else cp {AUTHORITIES}/stacklab-*.crt {anchors}/ && update-ca-trust; fi",
        done=f"ls /etc/ssl/certs/stacklab-*.pem || ls {anchors}/stacklab-*.crt",
    )


def _apt_mirror(node: Node, mirror: str) -> Step:
    """Return the step that points APT's sources, in either format, to a mirror.

    debian-security stays where it is.
    """
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
    """Return http_proxy and the like; the lab's own addresses are always reached directly."""
    proxy = lab.stack.proxy
    if proxy == Proxy():
        return {}
    addresses = [str(nic.address.ip) for node in lab.nodes for nic in node.nics]
    direct = dict.fromkeys(
        ("localhost", "127.0.0.1", *addresses, *(node.name for node in lab.nodes), *proxy.no_proxy)
    )
    variables = {
        "http_proxy": proxy.http,
        "https_proxy": proxy.https or proxy.http,
        "no_proxy": ",".join(direct),
    }
    return {name: value for name, value in variables.items() if value}


def _pip(lab: Lab, index: str, *, trusts: bool) -> str:
    spec = shown(lab.source)
    header = f"# Rendered from {spec}: where this host, or the spec, has Python packages from."
    lines = [header, "[global]"]
    if index:
        lines.append(f"index-url = {index}")
    if index.startswith("http://"):
        lines.append(f"trusted-host = {urlsplit(index).hostname or ''}")
    if trusts:  # pip has a list of its own
        is_debian = lab.images[0].startswith(("debian", "ubuntu"))
        whole = (
            "/etc/ssl/certs/ca-certificates.crt"
            if is_debian
            else "/etc/pki/tls/certs/ca-bundle.crt"
        )
        lines.append(f"cert = {whole}")
    return "\n".join([*lines, ""])


def _git(lab: Lab, urls: Sequence[tuple[str, str]]) -> str:
    header = f"# Rendered from {shown(lab.source)}: where this host's git fetches from, too.\n"
    return header + "".join(
        f'[url "{mirror}"]\n\tinsteadOf = {replaced}\n' for mirror, replaced in urls
    )
