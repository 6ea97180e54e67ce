"""Horizon of the debian kit: on the controller, behind the same haproxy where there is TLS."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from stacklab import installers, spec
from stacklab.installers import kit_of
from stacklab.installers import rendering as answers
from stacklab.installers.debian.answers import dashboard, services, tls
from stacklab.installers.debian.answers.place import place_of
from stacklab.installers.debian.answers.service import Service
from stacklab.model.lab import Lab
from stacklab.paths.project import LABS
from tests.unit.installers.debian.test_debian import LAB as PLAIN
from tests.unit.installers.debian.test_debian import installed, text, with_stack

LAB = with_stack(PLAIN, has_dashboard=True)
WITH_TLS = with_stack(LAB, has_tls=True)
ADDRESS = "192.168.170.10"


def settings(lab: Lab) -> dict[str, object]:
    """Return what the settings assign, without running them."""
    tree = ast.parse(text(lab, "controller", dashboard.SETTINGS))
    found: dict[str, object] = {}
    for statement in tree.body:
        assert isinstance(statement, ast.Assign)
        (target,) = statement.targets
        assert isinstance(target, ast.Name)
        found[target.id] = ast.literal_eval(statement.value)
    return found


def service(lab: Lab) -> Service:
    place = place_of(lab, lab.controller)
    assert place is not None
    (found,) = [one for one in services.services_of(lab, place) if one.name == "horizon"]
    return found


def test_the_spec_s_key_switches_it_on(tmp_path: Path) -> None:
    path = tmp_path / "openstack-3node.yaml"
    plain = (LABS / path.name).read_text()
    for line, is_there in (("", False), ("  dashboard: true\n", True)):
        path.write_text(plain.replace("  release: zed\n", f"  release: zed\n{line}"))
        lab = spec.load(path)
        kit = kit_of(lab.stack.installer)
        assert kit is not None
        assert ("stacklab-horizon.service" in kit.units(lab, lab.controller)) is is_there
        assert ("horizon_secret" in answers.secret_names(lab)) is is_there
        assert (dashboard.SETTINGS in installed(lab, "controller")) is is_there
        assert "stacklab-horizon.service" not in kit.units(lab, lab.node("compute1"))


def test_it_is_shut_for_other_names_and_shows_no_traceback() -> None:
    found = settings(LAB)
    assert found["DEBUG"] is False
    assert found["ALLOWED_HOSTS"] == [ADDRESS, "controller"]
    assert found["OPENSTACK_KEYSTONE_URL"] == f"http://{ADDRESS}:5000/v3"
    assert not [name for name in found if "SECURE" in name or "CACERT" in name]


def test_its_key_is_the_lab_s_and_only_horizon_reads_it() -> None:
    assert settings(LAB)["SECRET_KEY"] == answers.PLACEHOLDER
    assert installed(LAB, "controller")[dashboard.SETTINGS] == ("root", "horizon", "640")


def test_with_tls_cookies_travel_by_https_only_and_it_knows_its_scheme() -> None:
    found = settings(WITH_TLS)
    assert found["OPENSTACK_KEYSTONE_URL"] == f"https://{ADDRESS}:5000/v3"
    assert found["OPENSTACK_SSL_CACERT"] == tls.AUTHORITY
    assert found["CSRF_COOKIE_SECURE"] is found["SESSION_COOKIE_SECURE"] is True
    assert found["SECURE_PROXY_SSL_HEADER"] == ("HTTP_X_FORWARDED_PROTO", "https")


@pytest.mark.parametrize(
    ("lab", "listens", "answers_at"),
    [
        (LAB, f"{ADDRESS}:80", f"http:{ADDRESS}:80"),
        (WITH_TLS, "127.0.0.1:443", f"https:{ADDRESS}:443"),
    ],
)
def test_it_has_one_process_on_the_management_address(
    lab: Lab, listens: str, answers_at: str
) -> None:
    uwsgi = text(lab, "controller", dashboard.UWSGI).splitlines()
    assert f"http-socket = {listens}" in uwsgi
    assert "processes = 1" in uwsgi
    assert "static-map = /static=/var/lib/openstack-dashboard/static" in uwsgi
    assert service(lab).ready == answers_at
    unit = text(lab, "controller", "/etc/systemd/system/stacklab-horizon.service")
    assert "User=horizon" in unit.splitlines()
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in unit.splitlines()


def test_haproxy_has_its_port_and_may_have_it() -> None:
    config = text(WITH_TLS, "controller", tls.CONFIG)
    assert f"bind {ADDRESS}:443 ssl" in config
    unit = text(WITH_TLS, "controller", "/etc/systemd/system/stacklab-tls.service")
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in unit.splitlines()
    without = with_stack(WITH_TLS, has_dashboard=False)
    assert ":443" not in text(without, "controller", tls.CONFIG)


def test_people_are_told_where_it_is() -> None:
    assert installers.dashboard_url(PLAIN) == ""
    assert installers.dashboard_url(LAB) == f"http://{ADDRESS}/"
    assert installers.dashboard_url(WITH_TLS) == f"https://{ADDRESS}/"


def test_the_api_s_files_have_no_static_ones() -> None:
    assert "static-map" not in text(LAB, "controller", "/etc/stacklab/keystone-uwsgi.ini")
