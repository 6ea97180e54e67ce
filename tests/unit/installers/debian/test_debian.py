"""OpenStack from Debian's packages: files, units and stages of a node."""

from __future__ import annotations

import configparser
import dataclasses
import re
from pathlib import Path, PurePosixPath

import pytest

from stacklab import spec
from stacklab.errors import RenderError
from stacklab.installers import kit_of
from stacklab.installers import rendering as answers
from stacklab.installers.debian.answers import forms, services
from stacklab.installers.debian.answers import service as names
from stacklab.installers.debian.answers.files import FOLDER, INSTALL
from stacklab.installers.debian.answers.options import volumes
from stacklab.installers.debian.answers.place import place_of
from stacklab.installers.kit.write import digest
from stacklab.model.lab import Lab, NodeKind
from stacklab.model.stack import ConfigOption, Glance, Mirrors, Overcommit, Role
from stacklab.paths.project import PROJECT
from stacklab.stages.selection import input_digest


def with_stack(lab: Lab, **changes: object) -> Lab:
    return dataclasses.replace(lab, stack=dataclasses.replace(lab.stack, **changes))


# With cinder, which the lab itself leaves to its user.
LAB = with_stack(spec.load(PROJECT / "labs" / "openstack-3node.yaml"), volume_types=("lvm",))

AIO = spec.load(PROJECT / "labs" / "openstack-aio.yaml")
CONTAINERS = with_stack(LAB.all_as(NodeKind.CONTAINER), lacks_openvswitch=True)


def text(lab: Lab, node: str, path: str) -> str:
    return answers.preview(lab)[node][FOLDER / path.lstrip("/")]


def ini(lab: Lab, node: str, path: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, default_section="nothing")
    parser.read_string(text(lab, node, path))
    return parser


def installed(lab: Lab, node: str) -> dict[str, tuple[str, str, str]]:
    """What install.sh puts where: owner, group and mode by path."""
    script = answers.preview(lab)[node][INSTALL]
    rows = re.findall(r"^place (\S+) (\S+) (\d+) (/\S+)$", script, re.MULTILINE)
    return {path: (owner, group, mode) for owner, group, mode, path in rows}


@pytest.mark.parametrize("node", ["controller", "compute1"])
def test_every_file_is_installed_and_no_password_is_for_everybody(node: str) -> None:
    files = answers.preview(LAB)[node]
    places = installed(LAB, node)
    in_folder = {"/" + str(path.relative_to(FOLDER)) for path in files if FOLDER in path.parents}
    assert in_folder - {"/install.sh"} == set(places)
    for path, (_owner, _group, mode) in places.items():
        if answers.PLACEHOLDER in files[FOLDER / path.lstrip("/")]:
            assert mode in ("640", "600"), path


def test_services_listen_on_the_management_address_only() -> None:
    nova = ini(LAB, "controller", "/etc/nova/nova.conf")
    assert nova["DEFAULT"]["osapi_compute_listen"] == "192.168.170.10"
    assert nova["DEFAULT"]["metadata_listen"] == "192.168.170.10"
    assert ini(LAB, "controller", "/etc/neutron/neutron.conf")["DEFAULT"]["bind_host"] == (
        "192.168.170.10"
    )
    for path in FOLDER_FILES:
        assert "0.0.0.0" not in text(LAB, "controller", path), path


FOLDER_FILES = [
    "/" + str(path.relative_to(FOLDER))
    for path in answers.preview(LAB)["controller"]
    if FOLDER in path.parents
]


def test_a_compute_does_not_know_the_database() -> None:
    nova = ini(LAB, "compute1", "/etc/nova/nova.conf")
    assert not {"database", "api_database", "scheduler", "conductor"} & set(nova)
    assert nova["libvirt"]["virt_type"] == "kvm"
    neutron = ini(LAB, "compute1", "/etc/neutron/neutron.conf")
    assert "database" not in neutron
    assert "/etc/keystone/keystone.conf" not in installed(LAB, "compute1")


class TestOneNode:
    def test_it_is_controller_and_compute(self) -> None:
        nova = ini(AIO, "openstack", "/etc/nova/nova.conf")
        assert nova["libvirt"]["virt_type"] == "kvm"
        assert "api_database" in nova
        place = place_of(AIO, AIO.controller)
        assert place is not None
        assert services.targets(place) == (names.CONTROLLER_TARGET, names.COMPUTE_TARGET)

    def test_a_service_is_part_of_one_target(self) -> None:
        """`systemctl restart` of both targets would begin each service twice."""
        for name in ("rabbitmq", "nova-compute"):
            unit = text(AIO, "openstack", f"/etc/systemd/system/stacklab-{name}.service")
            assert "PartOf=stacklab-controller.target" in unit.splitlines()

    def test_tenants_vms_leave_memory_to_the_controllers_services(self) -> None:
        alone = ini(AIO, "openstack", "/etc/nova/nova.conf")["DEFAULT"]
        compute = ini(LAB, "compute1", "/etc/nova/nova.conf")["DEFAULT"]
        more = int(alone["reserved_host_memory_mb"]) - int(compute["reserved_host_memory_mb"])
        assert more == 2048

    def test_its_only_way_out_does_not_become_a_tunnels_end(self) -> None:
        lab = with_stack(AIO.all_as(NodeKind.CONTAINER), lacks_openvswitch=True)
        script = text(lab, "openstack", "/usr/local/sbin/stacklab-bridges")
        assert "datapath_type=netdev" in script
        assert "br-tunnel" not in script
        assert "/etc/systemd/network/05-eth0.network" not in installed(lab, "openstack")


def test_a_bystander_gets_nothing() -> None:
    bystander = dataclasses.replace(LAB.node("compute2"), role=Role.NODE)
    lab = dataclasses.replace(LAB, nodes=(*LAB.nodes[:2], bystander))
    assert not [path for path in answers.preview(lab)["compute2"] if FOLDER in path.parents]
    assert not [stage for stage in answers.stages(lab) if "compute2" in stage.nodes]
    kit = kit_of(lab.stack.installer)
    assert kit is not None
    assert kit.units(lab, bystander) == ()


class TestContainers:
    def test_open_vswitch_forwards_in_user_space_and_tunnels_end_on_a_bridge(self) -> None:
        script = text(CONTAINERS, "compute1", "/usr/local/sbin/stacklab-bridges")
        assert "datapath_type=netdev" in script
        nic = CONTAINERS.node("compute1").nics[1]
        assert f"take_over br-tunnel eth1 10.170.0.11/24 {nic.mac}" in script
        assert "/etc/systemd/network/05-eth1.network" in installed(CONTAINERS, "compute1")

    def test_on_vms_the_kernel_forwards_and_the_nic_keeps_its_address(self) -> None:
        script = text(LAB, "compute1", "/usr/local/sbin/stacklab-bridges")
        assert "datapath_type=system" in script
        assert "br-tunnel" not in script
        assert "/etc/systemd/network/05-eth1.network" not in installed(LAB, "compute1")

    def test_guests_finish_their_checksums_themselves(self) -> None:
        qemu = FOLDER / "qemu-system-x86_64"
        assert "csum=off" in answers.preview(CONTAINERS)["compute1"][qemu]
        assert qemu not in answers.preview(CONTAINERS)["controller"]
        assert qemu not in answers.preview(LAB)["compute1"]
        assert "dpkg-divert" in answers.preview(CONTAINERS)["compute1"][INSTALL]
        assert "dpkg-divert" not in answers.preview(LAB)["compute1"][INSTALL]

    def test_there_is_no_kvm_in_them(self) -> None:
        nova = ini(CONTAINERS, "compute1", "/etc/nova/nova.conf")
        assert nova["libvirt"]["virt_type"] == "qemu"


class TestOptionsOfTheSpec:
    def test_overcommit_ends_in_the_computes_nova_conf(self) -> None:
        lab = with_stack(LAB, overcommit=Overcommit(cpu=4, ram=1.25))
        nova = ini(lab, "compute1", "/etc/nova/nova.conf")["DEFAULT"]
        assert nova["cpu_allocation_ratio"] == "4"
        assert nova["ram_allocation_ratio"] == "1.25"
        assert nova["disk_allocation_ratio"] == "1.0"

    @pytest.mark.parametrize("file", ["$NOVA_CONF", "/etc/nova/nova.conf"])
    def test_post_config_comes_last_and_each_option_stands_once(self, file: str) -> None:
        option = ConfigOption(
            role="compute", file=file, section="DEFAULT", key="report_interval", value="7"
        )
        lab = with_stack(LAB, post_config=(option,))
        # configparser refuses an option that is there twice.
        assert ini(lab, "compute1", "/etc/nova/nova.conf")["DEFAULT"]["report_interval"] == "7"
        assert ini(lab, "controller", "/etc/nova/nova.conf")["DEFAULT"]["report_interval"] == "60"

    def test_a_file_that_the_node_does_not_have_is_refused_with_the_nearest(self) -> None:
        option = ConfigOption(
            role="controller", file="$NOVA_CNF", section="DEFAULT", key="a", value="b"
        )
        with pytest.raises(RenderError) as refused:
            answers.preview(with_stack(LAB, post_config=(option,)))
        assert "$NOVA_CNF" in refused.value.message
        assert "$NOVA_CONF" in str(refused.value.hint)


class TestVolumes:
    TWO = with_stack(LAB, volume_types=("fast", "nova"))

    def test_each_type_is_a_back_end_with_a_group_of_its_own(self) -> None:
        cinder = ini(self.TWO, "controller", "/etc/cinder/cinder.conf")
        assert cinder["DEFAULT"]["enabled_backends"] == "lvm-fast,lvm-nova"
        assert cinder["DEFAULT"]["default_volume_type"] == "fast"
        # A type that is called like a section of cinder's does not get into that one.
        assert "volume_group" not in cinder["nova"]
        script = text(self.TWO, "controller", "/usr/local/sbin/stacklab-volumes")
        for name in ("fast", "nova"):
            backend = cinder[f"lvm-{name}"]
            assert backend["volume_backend_name"] == name
            assert f"set_up {backend['volume_group']} /var/lib/cinder/{name}.img" in script

    def test_the_database_has_the_types_and_the_catalogue_has_cinder(self) -> None:
        sql = text(self.TWO, "controller", "/etc/mysql/stacklab-init.sql")
        for name, type_id in volumes.type_ids(("fast", "nova")).items():
            assert f"('{type_id}', '{name}', 1, 0, NOW())" in sql
        assert "SET enabled = 1 WHERE url LIKE '%:8776/%'" in sql
        without = text(
            with_stack(LAB, volume_types=()), "controller", "/etc/mysql/stacklab-init.sql"
        )
        assert "SET enabled = 0 WHERE url LIKE '%:8776/%'" in without
        assert "volume_types" not in without

    @pytest.mark.parametrize(
        ("overcommit", "kind", "ratio"),
        [
            (Overcommit(disk=3), "thin", "3"),
            (Overcommit(disk=1), "default", None),
            (Overcommit(), "default", None),
        ],
    )
    def test_only_a_thin_pool_promises_more_than_it_has(
        self, overcommit: Overcommit, kind: str, ratio: str | None
    ) -> None:
        lab = with_stack(LAB, overcommit=overcommit)
        backend = ini(lab, "controller", "/etc/cinder/cinder.conf")["lvm-lvm"]
        assert backend["lvm_type"] == kind
        assert backend.get("max_over_subscription_ratio") == ratio

    def test_cinder_copies_images_where_the_spec_says_so(self) -> None:
        copying = with_stack(LAB, glance=Glance(direct_copy=True))
        path, unit = "/etc/cinder/cinder.conf", "/etc/systemd/system/stacklab-cinder-volume.service"
        scheme = "allowed_direct_url_schemes"
        assert ini(copying, "controller", path)["DEFAULT"][scheme] == "file"
        assert scheme not in ini(LAB, "controller", path)["DEFAULT"]
        # The files of images are for glance's group alone.
        assert "SupplementaryGroups=glance" in text(copying, "controller", unit)
        assert "SupplementaryGroups" not in text(LAB, "controller", unit)
        # Without it glance says to nobody where they lie.
        glance = ini(copying, "controller", "/etc/glance/glance-api.conf")["DEFAULT"]
        assert glance["show_image_direct_url"] == "true"

    def test_nova_asks_cinder_only_where_there_is_one(self) -> None:
        for node in ("controller", "compute1"):
            assert ini(LAB, node, "/etc/nova/nova.conf")["cinder"]["username"] == "cinder"
            without = with_stack(LAB, volume_types=())
            assert "cinder" not in ini(without, node, "/etc/nova/nova.conf")

    def test_the_controller_has_its_units_and_computes_what_attaches(self) -> None:
        kit = kit_of(LAB.stack.installer)
        assert kit is not None
        units = set(kit.units(LAB, LAB.controller))
        names = ("cinder", "cinder-scheduler", "cinder-volume", "tgt", "volumes")
        assert {f"stacklab-{name}.service" for name in names} <= units
        for name in ("tgt", "cinder-volume"):
            unit = text(LAB, "controller", f"/etc/systemd/system/stacklab-{name}.service")
            (after,) = [line for line in unit.splitlines() if line.startswith("After=")]
            assert services.VOLUMES in after.split()
        target = text(LAB, "compute1", "/etc/systemd/system/stacklab-compute.target")
        assert "iscsid.socket" in target.split("Wants=")[1].split()

    def test_cinder_runs_lvm_without_a_rootwrap_and_may(self) -> None:
        places = installed(LAB, "controller")
        assert places["/usr/local/sbin/cinder-rootwrap"] == ("root", "root", "755")
        assert places["/etc/sudoers.d/stacklab-cinder"] == ("root", "root", "440")
        assert "/usr/local/sbin/cinder-rootwrap *" in text(
            LAB, "controller", "/etc/sudoers.d/stacklab-cinder"
        )

    def test_containers_have_none_and_the_kit_says_so(self) -> None:
        kit = kit_of(LAB.stack.installer)
        assert kit is not None
        (sentence,) = kit.left_out(CONTAINERS)
        assert "cinder" in sentence
        assert kit.left_out(LAB) == ()
        assert kit.left_out(with_stack(CONTAINERS, volume_types=())) == ()
        assert not [
            unit for unit in kit.units(CONTAINERS, CONTAINERS.controller) if "cinder" in unit
        ]
        assert "/etc/cinder/cinder.conf" not in installed(CONTAINERS, "controller")

    def test_one_container_among_vms_is_enough_to_have_none(self) -> None:
        compute = dataclasses.replace(LAB.node("compute2"), kind=NodeKind.CONTAINER)
        lab = dataclasses.replace(LAB, nodes=(*LAB.nodes[:2], compute))
        assert "/etc/cinder/cinder.conf" not in installed(lab, "controller")

    def test_options_for_a_cinder_that_is_left_out_are_no_mistake(self) -> None:
        option = ConfigOption(
            role="controller", file="$CINDER_CONF", section="DEFAULT", key="a", value="b"
        )
        assert (
            ini(with_stack(LAB, post_config=(option,)), "controller", "/etc/cinder/cinder.conf")[
                "DEFAULT"
            ]["a"]
            == "b"
        )
        answers.preview(with_stack(CONTAINERS, post_config=(option,)))
        with pytest.raises(RenderError):
            answers.preview(with_stack(LAB, post_config=(option,), volume_types=()))


def test_rabbitmq_sees_the_plugins_that_it_needs_and_no_others() -> None:
    """It looks for each module in the directory of every plugin that it sees."""
    script = answers.preview(LAB)["controller"][INSTALL]
    environment = text(LAB, "controller", "/etc/rabbitmq/rabbitmq-env.conf")
    home = re.search(r"^RABBITMQ_HOME=(\S+)$", environment, re.MULTILINE)
    assert home is not None
    assert f"ln -sfn -t {home[1]}/plugins " in script
    assert f"PLUGINS_DIR={home[1]}/plugins" in environment.splitlines()
    assert " rabbit " in script
    assert "rabbitmq_management" not in script
    assert "rabbit" not in answers.preview(LAB)["compute1"][INSTALL]


class TestUnits:
    def test_each_service_is_wanted_by_its_target_and_stops_with_it(self) -> None:
        for node, target in (("controller", "controller"), ("compute1", "compute")):
            place = place_of(LAB, LAB.node(node))
            assert place is not None
            wanted = text(LAB, node, f"/etc/systemd/system/stacklab-{target}.target")
            for service in services.services_of(LAB, place):
                unit = text(LAB, node, f"/etc/systemd/system/{service.unit}")
                assert service.unit in wanted.split()
                assert f"PartOf=stacklab-{target}.target" in unit

    def test_nobody_waits_for_what_nobody_starts(self) -> None:
        controller = place_of(LAB, LAB.controller)
        compute = place_of(LAB, LAB.node("compute1"))
        assert controller is not None
        assert compute is not None
        ready = {service.ready for service in services.services_of(LAB, controller)}
        # OVN's databases are Debian's own units.
        ready |= {"tcp:192.168.170.10:6641", "tcp:192.168.170.10:6642"}
        for place in (controller, compute):
            for service in services.services_of(LAB, place):
                # A service is tried by its port as well where its HTTP answer is not needed.
                for word in service.waits_for:
                    assert {word, word.replace("tcp:", "http:")} & ready, word

    def test_units_of_the_kit_are_those_that_are_rendered_and_debians(self) -> None:
        kit = kit_of(LAB.stack.installer)
        assert kit is not None
        units = kit.units(LAB, LAB.controller)
        rendered = {PurePosixPath(path).name for path in installed(LAB, "controller")}
        own = {unit for unit in units if unit.startswith(names.UNIT_PREFIX)}
        assert own <= rendered
        assert {"stacklab-bridges.service", "stacklab-gateway.service"} <= own
        # Daemons, not Debian's units that only start others and always seem to run.
        assert {"ovs-vswitchd.service", "ovn-controller.service", "ovn-northd.service"} <= set(
            units
        )
        assert not {"ovn-central.service", "ovn-host.service"} & set(units)


class TestStages:
    def test_computes_begin_anew_what_a_controller_that_was_made_anew_has_forgotten(self) -> None:
        stages = {stage.name: stage for stage in answers.stages(LAB)}
        assert "configure@controller" in stages["start@compute1"].after

    def test_a_controller_that_is_listed_last_is_still_the_first(self) -> None:
        turned = dataclasses.replace(LAB, nodes=LAB.nodes[::-1])
        names = [stage.name for stage in answers.stages(turned)]
        assert names.index("configure@controller") < names.index("configure@compute1")

    def test_neutron_knows_all_agents_at_the_end(self) -> None:
        last = answers.stages(LAB)[-1]
        assert {f"services@{node.name}" for node in LAB.nodes} == set(last.after)


class TestForms:
    def test_a_password_hash_is_passlib_s(self) -> None:
        # passlib.hash.pbkdf2_sha512.using(rounds=1000, salt=SALT).hash("secret12"); SALT is the
        # beginning of the SHA-256 of b"admin\0secret12".
        assert forms.password_hash("admin", "secret12") == (
            "$pbkdf2-sha512$1000$FcPFgS5cTsgml7LZii38fQ$"
            "mzzMgRwbOlv4RkcaN1qaUCnvzD2mg6/cm/eivmnR/13rB4X8ayKrE.30Dr/OVkMH0kGIZiG1FyqBcviB8Z4BBg"
        )

    def test_users_have_salts_of_their_own(self) -> None:
        hashes = [forms.password_hash(user, "secret12").split("$") for user in ("admin", "nova")]
        assert hashes[0][3] != hashes[1][3]

    def test_a_fernet_key_has_32_bytes(self) -> None:
        assert re.fullmatch(r"[A-Za-z0-9_-]{43}=", forms.fernet_key("secret12"))

    def test_all_that_stands_for_a_secret_in_a_file_is_known_to_the_mask(self) -> None:
        secrets = {name: f"{name.replace('_', '')[:18]:x<18}" for name in answers.secret_names(LAB)}
        shown = answers.shown_secrets(LAB, secrets)
        files = answers.render(LAB, secrets)["controller"]
        sql = files[FOLDER / "etc/mysql/stacklab-init.sql"]
        (key, *_) = [files[path] for path in files if "fernet-keys" in str(path)]
        assert key in shown["fernet_secret"]
        for line in sql.splitlines():
            if "password_hash" in line:
                assert any(form in line for forms in shown.values() for form in forms)


def test_the_cloud_is_reached_by_the_management_network_and_its_vms_by_the_external_one() -> None:
    kit = kit_of(LAB.stack.installer)
    assert kit is not None
    access = kit.access(LAB)
    assert access is not None
    assert access.auth_url == "http://192.168.170.10:5000/v3"
    assert access.external is not None
    assert access.external.gateway == LAB.network("external").host_address
    for _, nic in LAB.members("external"):
        assert nic.address.ip not in access.external.pool


def test_templates_are_all_used() -> None:
    kit_folder = PROJECT / "stacklab" / "installers" / "debian"
    sources = "".join(path.read_text() for path in kit_folder.rglob("*.py"))
    for template in Path(PROJECT / "localrc" / "debian").iterdir():
        assert f"debian/{template.name}" in sources


def test_a_compute_that_comes_restarts_nothing_on_other_nodes() -> None:
    """Not even where each node has to trust an authority of this host's first."""
    mirrors = Mirrors(authorities=(("ours", "PEM"),))
    alone = dataclasses.replace(LAB, nodes=LAB.nodes[:-1])
    digests = []
    for lab in (LAB, alone):
        stages = answers.stages(lab, mirrors=mirrors)
        files = {node: digest(texts) for node, texts in answers.preview(lab).items()}
        digests.append({stage.name: input_digest(stage, files) for stage in stages})
    both, one = digests
    assert {"settings@controller", "settings@compute1", "start@controller"} < one.keys()
    assert {name for name in one if one[name] != both[name]} == {"agents"}
    waits = {stage.name: stage.after for stage in answers.stages(LAB, mirrors=mirrors)}
    of_new_node = {"settings@compute2", "configure@compute2", "start@compute2", "services@compute2"}
    for name in one.keys() - {"agents"}:
        assert not of_new_node.intersection(waits[name]), name
