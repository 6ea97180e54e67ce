"""instances.yaml: what the deployer's playbooks make of each key was seen by running them, see
opensdn.py.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stacklab import releases
from stacklab.errors import RenderError
from stacklab.installers import rendering as answers
from stacklab.installers.opensdn.answers import files as opensdn
from stacklab.installers.opensdn.answers import kolla as opensdn_kolla
from stacklab.model.stack import (
    ConfigOption,
    Installer,
    Mirrors,
    NetworkingMode,
    Overcommit,
    Proxy,
    Role,
    SecretSource,
)
from tests.unit.installers.opensdn.opensdn_labs import (
    SECRETS,
    of_roles,
    plain,
    read,
    shipped,
    text,
    vary,
    with_network,
)

RELEASES = releases.of(Installer.OPENSDN)


class TestInstances:
    def test_the_file_is_on_the_controller_alone(self) -> None:
        rendered = answers.render(shipped(), SECRETS)
        assert {name: list(files) for name, files in rendered.items() if files} == {
            "controller": [opensdn.INSTANCES]
        }

    def test_a_role_without_options_is_null(self) -> None:
        instances = read(shipped())["instances"]
        assert instances["compute1"]["roles"] == {"vrouter": None, "openstack_compute": None}
        assert set(instances["controller"]["roles"]) == {
            "analytics",
            "config",
            "config_database",
            "control",
            "webui",
            "openstack",
        }

    def test_nodes_are_reached_with_the_labs_key_and_never_with_a_password(self) -> None:
        bms = read(shipped())["provider_config"]["bms"]
        # `ssh_pwd is defined` holds for an empty one, too.
        assert bms == {"ssh_user": "stack", "ssh_private_key": "/home/stack/.ssh/id_ed25519"}

    def test_without_computes_the_controller_is_one(self) -> None:
        roles = read(of_roles(aio=Role.CONTROLLER))["instances"]["aio"]["roles"]
        assert {"control", "openstack", "vrouter", "openstack_compute"} <= set(roles)

    def test_openstack_is_on_the_first_of_several_controllers(self) -> None:
        # More would want haproxy and an address that floats.
        lab = of_roles(a=Role.CONTROLLER, b=Role.CONTROLLER, c=Role.CONTROLLER, d=Role.COMPUTE)
        found = read(lab)
        having = {name for name, each in found["instances"].items() if "openstack" in each["roles"]}
        assert having == {"a"}
        assert (
            found["contrail_configuration"]["CONTROL_NODES"]
            == "10.152.0.10,10.152.0.11,10.152.0.12"
        )
        assert all("control" in found["instances"][name]["roles"] for name in "abc")

    def test_a_bystander_is_no_instance(self) -> None:
        lab = of_roles(a=Role.CONTROLLER, b=Role.COMPUTE, c=Role.NODE)
        assert set(read(lab)["instances"]) == {"a", "b"}

    def test_no_playbook_asks_the_cloud_whom_to_remove(self) -> None:
        # True, its default, has every playbook log in to keystone and the config API first.
        assert read(shipped())["global_configuration"]["ENABLE_DESTROY"] is False


class TestOpenStack:
    @pytest.mark.parametrize("name", RELEASES)
    def test_every_release_renders_for_a_plain_lab(self, name: str) -> None:
        found = read(plain(name))["contrail_configuration"]
        assert found["OPENSTACK_VERSION"] == RELEASES[name].text("openstack")
        assert found["KOLLA_MODE"] == RELEASES[name].text("kolla_mode")

    @pytest.mark.parametrize("name", RELEASES)
    @pytest.mark.parametrize("mode", ["patched", "vanilla"])
    def test_everything_that_a_release_brings_has_its_system_ansible_and_containers(
        self, name: str, mode: str
    ) -> None:
        row = RELEASES[name]
        for openstack in opensdn_kolla.known_openstacks(row, mode):
            systems = sorted(row.mapping("systems")[openstack].split("+"))
            lab = plain(name, kolla_mode=mode, openstack=openstack)
            rendered = read(replace(lab, images=tuple(systems)))
            assert rendered["contrail_configuration"]["OPENSTACK_VERSION"] == openstack
            assert rendered["kolla_config"]["kolla_globals"]["kolla_base_distro"] in (
                "centos",
                "rocky",
            )
            assert row.mapping("ansible")[openstack].startswith("ansible")

    def test_the_release_is_text_not_a_number(self) -> None:
        assert 'OPENSTACK_VERSION: "2024.2"' in text(shipped())

    def test_patched_takes_the_last_patched_release_where_the_default_has_no_branch(self) -> None:
        found = read(replace(plain("R26.1", kolla_mode="patched"), images=("ubuntu-22.04",)))
        assert found["contrail_configuration"]["OPENSTACK_VERSION"] == "2023.2"

    def test_a_release_that_only_the_other_mode_has_names_it(self) -> None:
        with pytest.raises(RenderError, match=r"by patched kolla, not 2024\.2") as caught:
            text(vary(kolla_mode="patched", openstack="2024.2"))
        assert caught.value.hint == 'write kolla_mode: vanilla with openstack: "2024.2"'

    def test_a_release_that_nobody_has_shows_what_there_is(self) -> None:
        with pytest.raises(
            RenderError, match=r"brings OpenStack zed, .*2024\.2 by vanilla kolla, not 2025\.1"
        ) as caught:
            text(vary(openstack="2025.1"))
        assert caught.value.hint == 'write kolla_mode: vanilla with openstack: "2024.2"'

    def test_containers_of_another_python_are_refused(self) -> None:
        # docker cp .../python3.9/site-packages fails in those of yoga, which have 3.6.
        with pytest.raises(RenderError, match="not yoga"):
            text(vary(openstack="yoga"))
        assert opensdn_kolla.known_openstacks(RELEASES["R25.1"], "vanilla") == ("xena", "yoga")

    def test_an_operating_system_that_kolla_ansible_is_not_for_is_refused(self) -> None:
        with pytest.raises(
            RenderError, match=r"kolla-ansible of 2023\.2 is not for ubuntu-24\.04"
        ) as caught:
            text(vary(kolla_mode="patched", openstack="2023.2"))
        assert caught.value.hint is not None
        assert "image: rocky-9 or ubuntu-22.04" in caught.value.hint
        assert 'kolla_mode: vanilla with openstack: "2024.2"' in caught.value.hint

    def test_a_cloud_image_counts_as_its_system(self) -> None:
        assert text(vary(images=("ubuntu-24.04-cloud",)))

    def test_r24_1_brings_no_vanilla_kolla(self) -> None:
        with pytest.raises(RenderError, match="cannot install kolla in mode vanilla") as caught:
            text(plain("R24.1", kolla_mode="vanilla"))
        assert caught.value.hint is not None
        assert "kolla_mode: patched" in caught.value.hint

    def test_vanilla_is_given_the_plugins_volume_and_patched_is_not(self) -> None:
        patched = read(plain("R25.1"))["kolla_config"]["kolla_globals"]
        vanilla = read(shipped())["kolla_config"]["kolla_globals"]
        assert vanilla["neutron_plugin_agent"] == "opensdn"
        for service in ("neutron_server", "nova_compute", "heat_engine"):
            assert vanilla[f"{service}_extra_volumes"] == ["opensdn:/opt/plugin/"]
            assert f"{service}_extra_volumes" not in patched
        assert "neutron_plugin_agent" not in patched  # the deployer's own is right

    def test_without_haproxy_the_controllers_own_address_is_the_clouds(self) -> None:
        found = read(shipped())["kolla_config"]["kolla_globals"]
        # As text: the deployer's own "no" goes through | bool, and so does this.
        assert (found["enable_haproxy"], found["kolla_internal_address"]) == (
            "no",
            "192.168.152.10",
        )


class TestSecrets:
    def test_each_password_is_the_labs_own(self) -> None:
        assert read(shipped())["kolla_config"]["kolla_passwords"] == SECRETS

    def test_the_deployers_word_for_what_is_left_out_is_nowhere(self) -> None:
        assert "contrail123" not in text(shipped())

    def test_the_admins_password_is_not_told_to_opensdn_twice(self) -> None:
        # The deployer takes KEYSTONE_AUTH_ADMIN_PASSWORD and METADATA_PROXY_SECRET from kolla's
        # passwords.
        configuration = read(shipped())["contrail_configuration"]
        assert not [key for key, value in configuration.items() if value in SECRETS.values()]

    def test_a_secret_of_the_users_goes_by_kollas_name(self) -> None:
        lab = vary(secrets=(SecretSource(name="keystone_admin_password", env="MINE"),))
        assert "keystone_admin_password" in answers.secret_names(lab)
        with pytest.raises(RenderError, match="does not ask for 'admin_pasword'"):
            answers.secret_names(vary(secrets=(SecretSource(name="admin_pasword", env="MINE"),)))


class TestNetworks:
    def test_vrouter_takes_the_data_networks_nic_and_control_is_there(self) -> None:
        found = read(shipped())
        assert found["instances"]["compute1"]["ip"] == "192.168.152.11"
        assert found["contrail_configuration"]["PHYSICAL_INTERFACE"] == "eth1"
        assert found["contrail_configuration"]["CONTROL_NODES"] == "10.152.0.10"

    def test_no_gateway_where_another_nic_has_the_way_out(self) -> None:
        # The agent's container refuses an empty one only if the default route is over vhost0.
        assert "VROUTER_GATEWAY" not in read(shipped())["contrail_configuration"]

    def test_the_gateway_where_vrouter_takes_over_the_nic_with_the_way_out(self) -> None:
        found = read(vary(data_network="mgmt"))["contrail_configuration"]
        assert (found["PHYSICAL_INTERFACE"], found["VROUTER_GATEWAY"]) == ("eth0", "192.168.152.1")

    def test_nics_of_different_names_are_named_per_vrouter(self) -> None:
        lab = shipped()
        odd = replace(
            lab.nodes[2], nics=(lab.nodes[2].nics[0], replace(lab.nodes[2].nics[1], device="ens9"))
        )
        found = read(replace(lab, nodes=(*lab.nodes[:2], odd)))
        assert "PHYSICAL_INTERFACE" not in found["contrail_configuration"]
        vrouters = [
            found["instances"][name]["roles"]["vrouter"] for name in ("compute1", "compute2")
        ]
        assert vrouters == [{"PHYSICAL_INTERFACE": "eth1"}, {"PHYSICAL_INTERFACE": "ens9"}]

    def test_an_api_network_reaches_kolla_and_opensdn(self) -> None:
        found = read(with_network("api", "10.153.0.0/24", api_network="api"))
        assert found["kolla_config"]["kolla_globals"]["kolla_internal_address"] == "10.153.0.10"
        assert found["instances"]["controller"]["roles"]["openstack"] == {"api_interface": "eth2"}
        assert found["instances"]["compute1"]["roles"]["openstack_compute"] == {
            "api_interface": "eth2"
        }
        for name in ("KEYSTONE_AUTH_HOST", "IPFABRIC_SERVICE_HOST", "computeManager_ip"):
            assert found["contrail_configuration"][name] == "10.153.0.10"

    def test_an_api_network_of_the_same_name_changes_nothing(self) -> None:
        assert text(vary(api_network="mgmt")) == text(vary())

    def test_apis_on_the_nic_that_vrouter_takes_over_are_refused(self) -> None:
        with pytest.raises(RenderError, match="vrouter takes fabric over"):
            text(vary(api_network="fabric"))

    def test_kolla_detects_its_interface_by_the_address(self) -> None:
        # vhost0 has it after vrouter's start; a NIC's name would be wrong from then on.
        assert "network_interface" not in text(shipped())


class TestOptions:
    def test_answers_are_added_to_and_go_before_ours(self) -> None:
        lab = vary(
            answers=(
                ("LOG_LEVEL", "SYS_DEBUG"),
                ("CONTRAIL_CONTAINER_TAG", "R26.1-7"),
                ("SSL_ENABLE", "yes"),
            )
        )
        found = read(lab)["contrail_configuration"]
        assert (found["LOG_LEVEL"], found["CONTRAIL_CONTAINER_TAG"], found["SSL_ENABLE"]) == (
            "SYS_DEBUG",
            "R26.1-7",
            "yes",
        )

    @pytest.mark.parametrize(
        "key", ["KOLLA_MODE", "OPENSTACK_VERSION", "CONTROL_NODES", "CLOUD_ORCHESTRATOR"]
    )
    def test_what_follows_from_the_lab_is_not_free_to_choose(self, key: str) -> None:
        with pytest.raises(RenderError, match=f"stack.answers.{key}") as caught:
            text(vary(answers=((key, "x"),)))
        assert caught.value.hint

    @pytest.mark.parametrize(
        "value", ["{{ lookup('env', 'HOME') }}", "{% if x %}", "two\u2028lines", "a\tb"]
    )
    def test_a_value_that_ansible_or_yaml_would_change_is_refused(self, value: str) -> None:
        option = ConfigOption(
            role="all", file="/etc/nova/nova.conf", section="DEFAULT", key="debug", value=value
        )
        for lab in (vary(answers=(("LOG_LEVEL", value),)), vary(post_config=(option,))):
            with pytest.raises(
                RenderError, match=r"LOG_LEVEL|nova\.conf\.DEFAULT\.debug"
            ) as caught:
                text(lab)
            assert value not in str(caught.value)

    @given(st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1))
    def test_any_other_value_is_read_back_as_it_was(self, value: str) -> None:
        assume(
            value.isprintable()
            and not {"{{", "{%", "{#"} & {value[i : i + 2] for i in range(len(value))}
        )
        option = ConfigOption(
            role="all", file="/etc/nova/nova.conf", section="DEFAULT", key="debug", value=value
        )
        found = read(vary(answers=(("X", value),), post_config=(option,)))
        assert found["contrail_configuration"]["X"] == value
        assert f"debug = {value}".rstrip() in found["kolla_config"]["customize"]["nova.conf"]

    def test_overcommit_goes_into_kollas_nova_conf(self) -> None:
        lab = vary(overcommit=Overcommit(cpu=16, ram=1.5))
        text_ = read(lab)["kolla_config"]["customize"]["nova.conf"]
        assert "[DEFAULT]\ncpu_allocation_ratio = 16\nram_allocation_ratio = 1.5\n" in text_
        assert "disk_allocation_ratio" not in text_

    def test_post_config_is_kollas_file_for_all_or_for_a_host(self) -> None:
        option = ConfigOption(
            role="all", file="/etc/nova/nova.conf", section="libvirt", key="cpu_mode", value="none"
        )
        custom = read(vary(post_config=(option, replace(option, role="compute", value="custom"))))[
            "kolla_config"
        ]["customize"]
        assert "[libvirt]\ncpu_mode = none\n" in custom["nova.conf"]
        # kolla's roles merge SERVICE/HOST/FILE last; its host is the instance's ip.
        for host in ("192.168.152.11", "192.168.152.12"):
            assert custom[f"nova/{host}/nova.conf"] == "[libvirt]\ncpu_mode = custom\n"
        assert "nova/192.168.152.10/nova.conf" not in custom

    def test_a_variable_of_devstacks_is_no_file_of_kollas(self) -> None:
        option = ConfigOption(
            role="all", file="$NOVA_CONF", section="DEFAULT", key="debug", value="True"
        )
        with pytest.raises(
            RenderError, match=r"kolla does not have a file '\$NOVA_CONF'"
        ) as caught:
            text(vary(post_config=(option,)))
        assert caught.value.hint == "write /etc/SERVICE/FILE, e.g. /etc/nova/nova.conf"

    def test_vanilla_nova_api_is_told_what_the_deployer_tells_computes_alone(self) -> None:
        assert "[oslo_policy]" in read(shipped())["kolla_config"]["customize"]["nova.conf"]
        assert "customize" not in read(plain("R25.1"))["kolla_config"]

    def test_a_proxy_reaches_playbooks_and_every_docker(self) -> None:
        lab = vary(proxy=Proxy(http="http://proxy.example:3128"))
        found = read(lab)["global_configuration"]
        assert found["HTTP_PROXY"] == found["HTTPS_PROXY"] == "http://proxy.example:3128"
        rendered = answers.render(lab, SECRETS)
        for node in lab.nodes:
            unit = rendered[node.name][opensdn.DOCKER_PROXY]
            assert 'Environment="HTTP_PROXY=http://proxy.example:3128"' in unit
            assert "192.168.152.12" in unit.partition("NO_PROXY=")[2]

    def test_mirrors_are_on_every_node(self) -> None:
        rendered = answers.render(vary(mirrors=Mirrors(pip="http://pip.example/simple")), SECRETS)
        assert all(any(path.name == "pip.conf" for path in files) for files in rendered.values())

    def test_its_network_mode_is_vrouter(self) -> None:
        assert text(vary(network_mode=NetworkingMode.VROUTER)) == text(vary())
