"""TLS of the debian kit: haproxy on the management address, all else behind it."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacklab import spec
from stacklab.installers import kit_of
from stacklab.installers import rendering as answers
from stacklab.installers.debian.answers import services, tls
from stacklab.installers.debian.answers.files import FOLDER
from stacklab.installers.debian.answers.place import place_of
from stacklab.model import certificate
from stacklab.model.lab import Lab
from stacklab.paths.project import LABS
from tests.unit.installers.debian.test_debian import LAB as PLAIN
from tests.unit.installers.debian.test_debian import ini, installed, text, with_stack
from tests.unit.test_certificate import AUTHORITY, CERTIFICATE, KEPT, KEY

LAB = with_stack(PLAIN, has_tls=True)
ADDRESS = "192.168.170.10"
PORTS = {"keystone": 5000, "glance": 9292, "placement": 8778, "cinder": 8776}
OTHER_PORTS = {"nova": 8774, "neutron": 9696, "novncproxy": 6080}


def rendered(lab: Lab) -> answers.Rendered:
    """Render with a real text of a certificate."""
    secrets = dict.fromkeys(answers.secret_names(lab), "s" * 20)
    return answers.render(lab, {**secrets, certificate.SECRET: KEPT})


def test_the_spec_s_key_switches_it_on_and_only_then_is_there_a_certificate(
    tmp_path: Path,
) -> None:
    path = tmp_path / "openstack-3node.yaml"
    plain = (LABS / path.name).read_text()
    kit = kit_of(PLAIN.stack.installer)
    assert kit is not None
    for line, has_tls in (("", False), ("  tls: false\n", False), ("  tls: true\n", True)):
        path.write_text(plain.replace("  release: zed\n", f"  release: zed\n{line}"))
        lab = spec.load(path)
        assert lab.stack.has_tls is has_tls
        assert (certificate.SECRET in answers.secret_names(lab)) is has_tls
        assert (kit.certified(lab) is not None) is has_tls
        assert ("stacklab-tls.service" in kit.units(lab, lab.controller)) is has_tls


class TestListening:
    def test_haproxy_has_each_api_on_the_management_address(self) -> None:
        config = text(LAB, "controller", tls.CONFIG)
        for name, port in {**PORTS, **OTHER_PORTS}.items():
            section = config.split(f"listen {name}\n")[1].split("\nlisten")[0]
            assert f"bind {ADDRESS}:{port} ssl crt /etc/stacklab/server.pem" in section
            assert f"server local 127.0.0.1:{port}" in section
        without = with_stack(LAB, volume_types=())
        assert "listen cinder" not in text(without, "controller", tls.CONFIG)

    def test_services_are_behind_it_on_the_loopback(self) -> None:
        for name, port in PORTS.items():
            uwsgi = text(LAB, "controller", f"/etc/stacklab/{name}-uwsgi.ini")
            assert f"http-socket = 127.0.0.1:{port}" in uwsgi.splitlines()
        nova = ini(LAB, "controller", "/etc/nova/nova.conf")
        assert nova["DEFAULT"]["osapi_compute_listen"] == "127.0.0.1"
        assert nova["vnc"]["novncproxy_host"] == "127.0.0.1"
        neutron = ini(LAB, "controller", "/etc/neutron/neutron.conf")
        assert neutron["DEFAULT"]["bind_host"] == "127.0.0.1"

    def test_agents_still_reach_the_metadata_api(self) -> None:
        nova = ini(LAB, "controller", "/etc/nova/nova.conf")
        assert nova["DEFAULT"]["metadata_listen"] == ADDRESS
        agent = ini(LAB, "compute1", "/etc/neutron/neutron_ovn_metadata_agent.ini")
        assert "nova_metadata_protocol" not in agent["DEFAULT"]

    def test_a_link_that_a_service_makes_begins_with_https(self) -> None:
        for service in ("keystone", "glance/glance-api", "placement", "nova", "neutron", "cinder"):
            folder, _, name = service.partition("/")
            config = ini(LAB, "controller", f"/etc/{folder}/{name or folder}.conf")
            assert config["oslo_middleware"]["enable_proxy_headers_parsing"] == "true", service
        assert "X-Forwarded-Proto https" in text(LAB, "controller", tls.CONFIG)


class TestClients:
    @pytest.mark.parametrize("node", ["controller", "compute1"])
    def test_no_file_of_a_node_calls_an_api_without_tls(self, node: str) -> None:
        for path, content in answers.preview(LAB)[node].items():
            for line in content.splitlines():
                assert f"http://{ADDRESS}" not in line, path
                assert f"http:{ADDRESS}" not in line, path

    @pytest.mark.parametrize("node", ["controller", "compute1"])
    def test_whoever_logs_in_trusts_the_lab_s_authority(self, node: str) -> None:
        for path in installed(LAB, node):
            if not path.endswith((".conf", ".ini")) or path.endswith("uwsgi.ini"):
                continue
            if "= https://" not in text(LAB, node, path):
                continue
            config = ini(LAB, node, path)
            for section in config:
                if "auth_url" in config[section]:
                    assert config[section]["auth_url"] == f"https://{ADDRESS}:5000"
                    assert config[section]["cafile"] == tls.AUTHORITY, (path, section)
        nova = ini(LAB, node, "/etc/nova/nova.conf")
        assert nova["glance"]["cafile"] == tls.AUTHORITY
        cinder = ini(LAB, "controller", "/etc/cinder/cinder.conf")["DEFAULT"]
        assert cinder["glance_ca_certificates_file"] == tls.AUTHORITY

    def test_the_catalogue_names_https_whatever_it_named_before(self) -> None:
        for lab, scheme in ((LAB, "https"), (PLAIN, "http")):
            last = text(lab, "controller", "/etc/mysql/stacklab-init.sql").splitlines()[-1]
            pattern = f"'^https?://(CONTROLLER|{ADDRESS})', '{scheme}://{ADDRESS}'"
            assert pattern in last

    def test_the_cloud_s_clients_are_told(self) -> None:
        kit = kit_of(LAB.stack.installer)
        assert kit is not None
        access = kit.access(LAB)
        assert access is not None
        assert access.auth_url == f"https://{ADDRESS}:5000/v3"
        assert access.has_tls

    def test_a_compute_waits_by_tls_and_the_controller_behind_it(self) -> None:
        for node, word in (
            ("controller", "http:127.0.0.1:5000"),
            ("compute1", f"https:{ADDRESS}:5000"),
        ):
            place = place_of(LAB, LAB.node(node))
            assert place is not None
            waits = [word for one in services.services_of(LAB, place) for word in one.waits_for]
            assert {one for one in waits if one.endswith(":5000")} == {word}
        script = text(LAB, "compute1", "/usr/local/sbin/stacklab-wait")
        assert f"--cacert {tls.AUTHORITY}" in script
        assert "curl" not in text(PLAIN, "compute1", "/usr/local/sbin/stacklab-wait")

    def test_the_last_that_is_waited_for_is_an_answer_through_tls(self) -> None:
        place = place_of(LAB, LAB.controller)
        assert place is not None
        last = services.services_of(LAB, place)[-1]
        assert (last.unit, last.ready) == ("stacklab-tls.service", f"https:{ADDRESS}:5000")


class TestCertificate:
    def test_haproxy_alone_reads_the_key_and_everybody_the_authority(self) -> None:
        places = installed(LAB, "controller")
        assert places["/etc/stacklab/server.pem"] == ("haproxy", "haproxy", "600")
        assert places[tls.AUTHORITY] == ("root", "root", "644")
        files = rendered(LAB)
        assert files["controller"][FOLDER / "etc/stacklab/server.pem"] == KEY + CERTIFICATE
        for node in LAB.nodes:
            assert files[node.name][FOLDER / tls.AUTHORITY.lstrip("/")] == AUTHORITY

    def test_no_compute_gets_the_key(self) -> None:
        for path, content in rendered(LAB)["compute1"].items():
            assert "PRIVATE KEY" not in content, path

    def test_what_is_shown_of_the_files_has_no_key(self) -> None:
        shown = answers.shown_secrets(LAB, {certificate.SECRET: KEPT})[certificate.SECRET]
        assert KEY + CERTIFICATE in shown

    def test_it_is_for_the_controller(self) -> None:
        server = answers.certified(LAB)
        assert server is not None
        assert (server.lab, server.host) == ("openstack-3node", "controller")
        assert str(server.address) == ADDRESS
