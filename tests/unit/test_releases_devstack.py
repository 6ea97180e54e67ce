from __future__ import annotations

import pytest

from stacklab.model.release import Release, When
from stacklab.model.stack import Driver, NetworkingMode
from tests.unit.release_rows import DEVSTACK, SERIES, by_title, having, localrc_of, since


class TestDevStack:
    def test_every_release_from_havana_to_master_is_there(self) -> None:
        assert set(DEVSTACK) == set(SERIES)

    @pytest.mark.parametrize("row", by_title(DEVSTACK.values()))
    def test_is_checked_out_by_a_ref_that_exists(self, row: Release) -> None:
        if row.is_alive:
            assert row.ref in (row.name, f"stable/{row.name}")
        elif (
            row.name == "kilo"
        ):  # DevStack's stable/kilo went without a tag; other projects have kilo-eol
            assert row.ref == "kilo-2"
        else:
            assert row.ref in (f"{row.name}-eol", f"unmaintained/{row.name}")

    @pytest.mark.parametrize("row", by_title(DEVSTACK.values()))
    def test_names_what_its_projects_branches_have_become(self, row: Release) -> None:
        gone = not row.is_alive and not row.ref.startswith("unmaintained/")
        assert row.text("projects_ref") == (f"{row.name}-eol" if gone else "")
        expected = (
            {"GLANCE", "HORIZON", "KEYSTONE", "NEUTRON", "NOVA", "REQUIREMENTS"} if gone else set()
        )
        assert expected <= set(row.words("projects"))
        assert gone == bool(row.words("projects"))

    @pytest.mark.parametrize("row", by_title(DEVSTACK.values()))
    def test_a_compute_has_a_list_of_services_in_every_mode(self, row: Release) -> None:
        for mode in row.network_modes:
            services = row.services[f"compute {mode}"]
            assert "n-cpu" in services
            assert ("n-net" in services) is NetworkingMode(mode).is_nova_network
            # All of it is remote: a second database or queue on a compute would be used instead.
            assert not {"mysql", "rabbit", "key", "q-svc"} & set(services)
        known = {*row.network_modes, *(f"{mode} off" for mode in row.network_modes), "off"}
        assert {key.split(" ", 1)[1] for key in row.services} <= known

    @pytest.mark.parametrize("row", by_title(DEVSTACK.values()))
    def test_a_mode_that_is_not_the_default_is_asked_for(self, row: Release) -> None:
        for mode in row.network_modes[1:]:
            if (
                NetworkingMode(row.network_modes[0]).is_nova_network
                != NetworkingMode(mode).is_nova_network
            ):
                assert f"controller {mode}" in row.services
                assert f"controller {mode} off" in row.services
            elif mode != NetworkingMode.OVS:
                assert row.words(f"lines_{mode}")

    @pytest.mark.parametrize("row", by_title(DEVSTACK.values()))
    def test_no_service_of_a_list_is_one_that_the_release_has_replaced(self, row: Release) -> None:
        named = {service for services in row.services.values() for service in services}
        assert not named & set(row.replaced)

    def test_q_ovn_agent_took_over_from_the_metadata_agent_in_2025_2(self) -> None:
        with_agent = {
            name
            for name, row in DEVSTACK.items()
            if "q-ovn-agent" in row.services.get("compute ovn", ())
        }
        assert with_agent == since("2025.2")

    def test_ovn_with_q_agt_or_q_l3_dies_so_no_list_has_both(self) -> None:
        for row in DEVSTACK.values():
            if NetworkingMode.OVN in row.network_modes:
                assert not {"q-agt", "q-l3"} & {
                    *row.services["compute ovn"],
                    *row.services.get("controller ovn", ()),
                }

    def test_the_default_mode_went_from_nova_network_to_ovs_to_ovn(self) -> None:
        defaults = {name: row.network_modes[0] for name, row in DEVSTACK.items()}
        # kilo-2 was tagged in the middle of its cycle, when neutron was the default for some weeks.
        nova = {"havana", "icehouse", "juno", "liberty", "mitaka"}
        assert {name for name, mode in defaults.items() if mode == "flat-dhcp"} == nova
        assert {name for name, mode in defaults.items() if mode == "ovn"} == since("xena")

    def test_nova_network_starts_in_cells_v1_alone_since_ocata(self) -> None:
        with_it = {
            name for name, row in DEVSTACK.items() if NetworkingMode.FLAT_DHCP in row.network_modes
        }
        assert with_it == since("havana") - since("ocata")

    def test_linuxbridge_is_in_devstack_until_2024_2(self) -> None:
        with_it = {
            name
            for name, row in DEVSTACK.items()
            if NetworkingMode.LINUXBRIDGE in row.network_modes
        }
        assert with_it == since("havana") - since("2025.1")

    def test_nova_networks_variables_are_inert_where_it_is_not(self) -> None:
        for name, row in DEVSTACK.items():
            for variable in ("MULTI_HOST", "FLAT_INTERFACE", "NETWORK_MANAGER", "VLAN_INTERFACE"):
                assert (variable in row.inert) is (name in since("ocata")), (name, variable)

    def test_screens_and_the_admin_token_are_inert_since_they_went(self) -> None:
        assert {name for name, row in DEVSTACK.items() if "USE_SCREEN" in row.inert} == since(
            "queens"
        )
        assert {name for name, row in DEVSTACK.items() if "SCREEN_LOGDIR" in row.inert} == since(
            "rocky"
        )
        assert {name for name, row in DEVSTACK.items() if "SERVICE_TOKEN" in row.inert} == since(
            "mitaka"
        )

    def test_a_compute_of_ocata_and_later_needs_placement(self) -> None:
        for name, row in DEVSTACK.items():
            for mode in row.network_modes:
                assert ("placement-client" in row.services[f"compute {mode}"]) is (
                    name in since("ocata")
                )
            assert bool(row.text("discover_hosts")) is (name in since("ocata"))

    def test_images_are_copied_from_glances_file_system_until_mitaka(self) -> None:
        # Newton's nova registers a file system's options before it has read which there are.
        assert having("glance.direct_copy") == since("havana") - since("newton")

    def test_images_are_downloaded_by_plug_ins_until_ussuri(self) -> None:
        assert having("glance.url_schemes") == since("havana") - since("victoria")

    def test_the_section_of_the_direct_url_left_default_in_juno(self) -> None:
        for name, row in DEVSTACK.items():
            expected = "DEFAULT" if name in ("havana", "icehouse") else "glance"
            assert row.text("direct_url_section") == (
                expected if "glance.url_schemes" in row.options else ""
            )
        assert DEVSTACK["icehouse"].text("store_section") == "DEFAULT"
        assert DEVSTACK["juno"].text("store_section") == "glance_store"

    def test_a_computes_first_overcommit_is_told_apart_since_stein(self) -> None:
        assert {name for name, row in DEVSTACK.items() if row.text("initial_overcommit")} == since(
            "stein"
        )

    def test_back_ends_of_cinder_have_names_since_juno(self) -> None:
        named = {
            name
            for name, row in DEVSTACK.items()
            if row.text("volume_backends") == "CINDER_ENABLED_BACKENDS"
        }
        assert named == since("juno")

    def test_plugins_came_with_kilo(self) -> None:
        assert having("plugins") == since("kilo")

    def test_a_plugin_that_is_enabled_twice_ends_stack_sh_since_newton(self) -> None:
        assert {
            name for name, row in DEVSTACK.items() if row.text("plugin_twice") == "stops"
        } == since("newton")
        assert {name for name, row in DEVSTACK.items() if row.text("plugin_twice")} == since("kilo")

    def test_what_is_disabled_stays_so_since_liberty(self) -> None:
        assert {name for name, row in DEVSTACK.items() if row.text("disable_is_final")} == since(
            "liberty"
        )

    def test_git_openstack_org_is_replaced_wherever_it_is_the_default(self) -> None:
        assert {name for name, row in DEVSTACK.items() if row.text("git_base")} == since(
            "icehouse"
        ) - since("train")

    def test_tempest_is_pinned_wherever_devstack_would_take_master(self) -> None:
        pinned = {name for name, row in DEVSTACK.items() if "TEMPEST_BRANCH" in localrc_of(row)}
        assert pinned == since("icehouse") - since("ocata")

    def test_todays_get_pip_is_avoided_wherever_it_would_meet_an_older_python(self) -> None:
        # By tools/install_pip.sh of each: from Pike on Python 2.7 has a URL of its own, 3.6 since
        # Ussuri and 3.8 in Wallaby and Xena; Debian, Ubuntu and Fedora keep their own pip since.
        avoided = {
            name
            for name, row in DEVSTACK.items()
            if any(bug.id.startswith("get-pip") for bug in row.bugs)
        }
        assert avoided == (since("havana") - since("pike")) | {"ussuri", "victoria"}
        files = {name for name in avoided if "PIP_GET_PIP_URL" not in localrc_of(DEVSTACK[name])}
        assert files == since("havana") - since("newton")  # the URL is no variable there
        for name in files | {"newton"}:
            (bug,) = (bug for bug in DEVSTACK[name].bugs if bug.id == "get-pip")
            assert (bug.when, bool(bug.done)) == (When.AFTER_CLONE, True)

    def test_a_bug_with_python_3_12_is_no_bug_of_systems_without_it(self) -> None:
        with_it = {
            name
            for name, row in DEVSTACK.items()
            if any(bug.id == "kuryr-distutils" for bug in row.bugs)
        }
        assert with_it == {"2024.2", "2025.1", "master"}
        assert all(Driver.ZUN in DEVSTACK[name].drivers for name in with_it)

    def test_nova_docker_is_put_in_by_the_way_of_its_time(self) -> None:
        styles = {
            name: row.text("docker_style")
            for name, row in DEVSTACK.items()
            if Driver.DOCKER in row.drivers
        }
        assert styles == {
            "havana": "intree",
            "icehouse": "prepare",
            "juno": "prepare",
            "kilo": "prepare",
            "liberty": "prepare",
            "mitaka": "plugin",
            "newton": "plugin",
        }
        for name in styles:
            assert bool(DEVSTACK[name].text("docker_ref")) is (name != "havana")

    def test_zun_has_a_ref_wherever_it_is_a_driver(self) -> None:
        with_zun = {name for name, row in DEVSTACK.items() if row.text("zun_ref")}
        assert with_zun == {name for name, row in DEVSTACK.items() if Driver.ZUN in row.drivers}
        assert with_zun == since("queens") - {
            "2025.2",
            "2026.1",
        }  # pike's other plugins have no ref

    @pytest.mark.parametrize(
        ("name", "image", "does"),
        [
            ("mitaka", "ubuntu-14.04", True),
            ("mitaka", "ubuntu-16.04", False),
            ("2026.1", "ubuntu-22.04", False),
            ("2025.2", "ubuntu-22.04", True),
            ("2026.1", "debian-13", True),
            ("havana", "ubuntu-14.04", False),
            # Rocky's name is unknown to GetDistro before 2023.1, CentOS Stream's before Wallaby.
            ("zed", "rocky-9", False),
            ("2023.1", "rocky-9", True),
            ("victoria", "centos-stream-8", False),
        ],
    )
    def test_runs_on_what_its_stack_sh_lets_pass(
        self, name: str, image: str, *, does: bool
    ) -> None:
        assert (image in DEVSTACK[name].images) is does
