"""TLS for the APIs: haproxy has it on the management address, services listen on the loopback.

The metadata API stays plain, because agents sign what they ask it; and so do the database, the
messages and OVN, which no client of the cloud uses.
"""

from __future__ import annotations

from collections.abc import Mapping

from stacklab.installers.debian.answers import ports
from stacklab.installers.debian.answers.options.config import ConfigFile
from stacklab.installers.debian.answers.place import CloudPlace
from stacklab.installers.kit.addresses import address
from stacklab.installers.kit.request import Request
from stacklab.model import certificate
from stacklab.model.certificate import ServerName
from stacklab.model.lab import Lab, Node

# What clients on a node trust.
AUTHORITY = "/etc/stacklab/authority.pem"
_SERVER = "/etc/stacklab/server.pem"
CONFIG = "/etc/stacklab/tls.cfg"
USER = "haproxy"


def secret_names(lab: Lab) -> tuple[str, ...]:
    """Return the name of the secret that has the certificate."""
    return (certificate.SECRET,) if lab.stack.has_tls else ()


def shaped_secrets(secrets: Mapping[str, str]) -> Mapping[str, str]:
    """Return what of it must not be shown, as it stands in a file."""
    if certificate.SECRET not in secrets:
        return {}
    return {certificate.SECRET: certificate.server_pem(secrets[certificate.SECRET])}


def certified(lab: Lab) -> ServerName | None:
    """Return who the certificate is for."""
    if not lab.stack.has_tls:
        return None
    controller = lab.controller
    return ServerName(lab=lab.name, host=controller.name, address=address(lab, controller))


def scheme(has_tls: bool) -> str:
    """Return what an API's URL begins with."""
    return "https" if has_tls else "http"


def api_url(place: CloudPlace, port: int) -> str:
    """Return where clients reach an API of the controller."""
    return f"{scheme(place.has_tls)}://{place.controller}:{port}"


def api_answers(place: CloudPlace, port: int) -> str:
    """Return the word by which a node waits for an API of the controller.

    The controller looks behind haproxy: to look through TLS starts a program.
    """
    if place.has_tls and place.is_controller:
        return f"http:{place.api_listen}:{port}"
    return f"{scheme(place.has_tls)}:{place.controller}:{port}"


def apis(place: CloudPlace) -> Mapping[str, int]:
    """Return the ports that haproxy serves, each with a name."""
    served = {
        "keystone": ports.KEYSTONE,
        "glance": ports.GLANCE,
        "placement": ports.PLACEMENT,
        "nova": ports.NOVA,
        "neutron": ports.NEUTRON,
        "novncproxy": ports.NOVNCPROXY,
    }
    if place.volume_types:
        served["cinder"] = ports.CINDER
    if place.has_dashboard:
        served["horizon"] = ports.DASHBOARD_TLS
    return served


def texts(request: Request, node: Node, place: CloudPlace) -> Mapping[str, ConfigFile]:
    """Return the files of TLS; of a cloud without it, there are none."""
    if not place.has_tls:
        return {}
    kept = request.secrets[certificate.SECRET]
    files = {AUTHORITY: ConfigFile(text=certificate.authority_pem(kept))}
    if place.is_controller:
        text = request.render(
            "debian/tls.cfg.j2", node, place=place, apis=apis(place), server=_SERVER
        )
        files[CONFIG] = ConfigFile(text=text)
        files[_SERVER] = ConfigFile(
            text=certificate.server_pem(kept), owner=USER, group=USER, mode=0o600
        )
    return files
