"""Files that any installer profits from: where a node fetches packages, and its way out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from stacklab.installers.kit.release import workarounds
from stacklab.installers.kit.request import shown
from stacklab.installers.kit.roles import is_in_cloud
from stacklab.model.lab import Lab, Node
from stacklab.model.release import Release, When
from stacklab.model.stack import Mirrors, Proxy
from stacklab.stages.stage import MINUTE_S, Stage, Step, name_at

AUTHORITIES = PurePosixPath("/usr/local/share/ca-certificates")
GIT_CONFIG = PurePosixPath("/etc/gitconfig")
PIP_CONF = PurePosixPath("/etc/pip.conf")
APT_PROXY = PurePosixPath("/etc/apt/apt.conf.d/90stacklab-proxy")
PROXY_ENVIRONMENT = PurePosixPath("/etc/profile.d/stacklab-proxy.sh")
# All authorities that a system trusts, in one file.
_DEBIAN_BUNDLE = PurePosixPath("/etc/ssl/certs/ca-certificates.crt")
_RED_HAT_BUNDLE = PurePosixPath("/etc/pki/tls/certs/ca-bundle.crt")


def render_settings(lab: Lab, mirrors: Mirrors) -> Mapping[str, Mapping[PurePosixPath, str]]:
    """Render them for every node; what the lab's stack says goes before the host's own settings."""
    files: dict[PurePosixPath, str] = {}
    pip_index = lab.stack.mirrors.pip or mirrors.pip
    has_authorities = bool(mirrors.authorities)
    if pip_index or has_authorities:
        files[PIP_CONF] = _render_pip_conf(lab, pip_index, trusts_authorities=has_authorities)
    for name, certificate in mirrors.authorities:
        # update-ca-certificates passes over files without .crt.
        files[AUTHORITIES / f"stacklab-{name}.crt"] = certificate
    if mirrors.git:
        files[GIT_CONFIG] = _render_git_config(lab, mirrors.git)
    if lab.stack.proxy != Proxy():
        files |= _render_proxy(lab)
    # Each node gets a mapping of its own, to which its installer's files are added.
    return {node.name: dict(files) for node in lab.nodes}


def _render_proxy(lab: Lab) -> Mapping[PurePosixPath, str]:
    exports = [f"export {name}={value}\n" for name, value in proxy_variables(lab).items()]
    files = {PROXY_ENVIRONMENT: "".join(exports)}
    http_proxy = lab.stack.proxy.http
    if http_proxy:
        # sudo, by which APT runs, drops the variables of the environment.
        files[APT_PROXY] = f'Acquire::http::Proxy "{http_proxy}";\n'
    return files


def settings_stages(lab: Lab, mirrors: Mirrors, running: Sequence[Release]) -> Mapping[str, Stage]:
    """Return what is done on each node of the cloud before its installer runs, by the nodes' names.

    That is trust in the host's authorities, APT's mirror, and the work-arounds of
    known bugs of the releases that will be running. A stage per node: when a node comes or goes,
    the others' stages stay as they were, and so do their services.
    """
    return {
        node.name: Stage(
            name=name_at("settings", node.name),
            steps=tuple(_settings(lab, node, mirrors, running)),
            limit_s=30 * MINUTE_S,
            hint="the node may not reach a mirror of packages: try lab.check",
        )
        for node in lab.nodes
        if is_in_cloud(lab, node)
    }


def _settings(lab: Lab, node: Node, mirrors: Mirrors, running: Sequence[Release]) -> Iterator[Step]:
    if mirrors.authorities:
        yield _trust_authorities(node)
    if lab.stack.mirrors.apt:
        yield _use_apt_mirror(node, lab.stack.mirrors.apt)
    for release in running:
        yield from workarounds(lab, release, node, When.BEFORE)


def _trust_authorities(node: Node) -> Step:
    # Debian and Ubuntu have one program for it, the others have another, and another directory.
    anchors = "/etc/pki/ca-trust/source/anchors"
    return Step(
        node=node.name,
        user="root",
        title="trust the authorities that the host trusts",
        command=f"if command -v update-ca-certificates; then {_add_to_debian_bundle()}; "
        f"else cp {AUTHORITIES}/stacklab-*.crt {anchors}/ && update-ca-trust; fi",
        done=f"ls {_DEBIAN_BUNDLE.parent}/stacklab-*.pem || ls {anchors}/stacklab-*.crt",
    )


def _add_to_debian_bundle() -> str:
    """Return what does the same as update-ca-certificates, for our authorities alone.

    That one reads all 150 of the image again: 88 s on an emulated node.
    """
    each = f"for file in {AUTHORITIES}/stacklab-*.crt; do"
    # OpenSSL finds an authority by a hash of its subject, with .0, .1 if several have the same.
    link_by_hash = (
        'hash=$(openssl x509 -noout -hash -in "$file"); number=0; '
        'while [ -e "$hash.$number" ]; do number=$((number + 1)); done; '
        'ln -s "$file" "$hash.$number"'
    )
    # With an end of line, which a file may lack.
    append = f"sed '$a\\' \"$file\" >> {_DEBIAN_BUNDLE.name}"
    # Last, because the step's test looks for them.
    link_by_name = 'ln -sf "$file" "$(basename "$file" .crt).pem"'
    return (
        f"set -e; cd {_DEBIAN_BUNDLE.parent}; "
        f"{each} {link_by_hash}; {append}; done; {each} {link_by_name}; done"
    )


def _use_apt_mirror(node: Node, mirror: str) -> Step:
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
    node_names = [node.name for node in lab.nodes]
    # A dict keeps the order, and each name once.
    direct = dict.fromkeys(
        ("localhost", "127.0.0.1", *addresses, *node_names, *proxy.no_proxy),
    )
    variables = {
        "http_proxy": proxy.http,
        "https_proxy": proxy.https or proxy.http,
        "no_proxy": ",".join(direct),
    }
    return {name: value for name, value in variables.items() if value}


def _render_pip_conf(lab: Lab, index: str, *, trusts_authorities: bool) -> str:
    spec = shown(lab.source)
    header = f"# Rendered from {spec}: where this host, or the spec, has Python packages from."
    lines = [header, "[global]"]
    if index:
        lines.append(f"index-url = {index}")
    if index.startswith("http://"):
        lines.append(f"trusted-host = {urlsplit(index).hostname or ''}")
    if trusts_authorities:
        # pip has a list of authorities of its own, and does not look at the system's.
        is_debian = lab.images[0].startswith(("debian", "ubuntu"))
        lines.append(f"cert = {_DEBIAN_BUNDLE if is_debian else _RED_HAT_BUNDLE}")
    return "\n".join([*lines, ""])


def _render_git_config(lab: Lab, urls: Sequence[tuple[str, str]]) -> str:
    header = f"# Rendered from {shown(lab.source)}: where this host's git fetches from, too.\n"
    sections = []
    for mirror, replaced in urls:
        sections.append(f'[url "{mirror}"]\n\tinsteadOf = {replaced}\n')
    return header + "".join(sections)
