"""Horizon, under uWSGI as the APIs are; its unit is among the services.

Debian's package has collected and compressed its static files while the image was made.
"""

from __future__ import annotations

from collections.abc import Mapping

from stacklab.installers.debian.answers import ports, tls
from stacklab.installers.debian.answers.options.config import ConfigFile
from stacklab.installers.debian.answers.place import CloudPlace
from stacklab.installers.debian.answers.service import Wsgi
from stacklab.installers.kit.request import Request
from stacklab.model.lab import Lab, Node

SETTINGS = "/etc/openstack-dashboard/local_settings.py"
UWSGI = "/etc/stacklab/horizon-uwsgi.ini"
_WSGI = "/etc/stacklab/horizon.wsgi"
_SECRET = "horizon_secret"
_STATIC = "/var/lib/openstack-dashboard/static"


def secret_names(lab: Lab) -> tuple[str, ...]:
    """Return the name of the secret by which it signs cookies."""
    return (_SECRET,) if lab.stack.has_dashboard else ()


def texts(request: Request, node: Node, place: CloudPlace) -> Mapping[str, ConfigFile]:
    """Return the controller's files of horizon; of a cloud without it, there are none."""
    if not place.has_dashboard:
        return {}
    application = Wsgi(
        name="horizon",
        file=_WSGI,
        port=ports.DASHBOARD_TLS if place.has_tls else ports.DASHBOARD,
        static=_STATIC,
        logs_by_oslo=False,
    )
    settings = request.render(
        "debian/horizon.py.j2",
        node,
        place=place,
        keystone=tls.api_url(place, ports.KEYSTONE),
        authority=tls.AUTHORITY,
        secret=request.secrets[_SECRET],
    )
    return {
        SETTINGS: ConfigFile(text=settings, group="horizon", mode=0o640),
        _WSGI: ConfigFile(text=request.render("debian/horizon.wsgi.j2", node)),
        UWSGI: ConfigFile(
            text=request.render("debian/uwsgi.ini.j2", node, application=application, place=place)
        ),
    }
