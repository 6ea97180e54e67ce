"""What is done with Packstack's files, and what comes after it.

Options without keys, nova's docker driver.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from stacklab import releases
from stacklab.errors import RenderError, SpecError
from stacklab.installers import rendering as answers
from stacklab.installers.packstack.answers import docker as packstack_docker
from stacklab.installers.rendering import Step
from stacklab.model.lab import Lab
from stacklab.model.release import Release
from stacklab.model.stack import Installer
from tests.unit.installers.packstack.packstack_labs import (
    ANSWERS,
    COMPUTES,
    DOCKER,
    METADATA,
    OPTIONS,
    REGISTRY,
    load,
    render,
    secrets,
)

RELEASES = releases.of(Installer.PACKSTACK)
WITH_DOCKER = "network_mode: flat-dhcp\ndriver: docker\n"


def option_lines(lab: Lab, node: str = "controller") -> list[str]:
    text = render(lab, node).get(OPTIONS, "")
    return [
        line.removeprefix("option ") for line in text.splitlines() if line.startswith("option ")
    ]


def step(lab: Lab, title: str, node: str = "controller") -> Step:
    found = [each for each in answers.steps(lab) if title in each.title and each.node == node]
    assert len(found) == 1, [each.title for each in answers.steps(lab)]
    return found[0]


class TestOptions:
    def test_a_lab_that_asks_for_none_has_no_script(self, tmp_path: Path) -> None:
        lab = load(tmp_path, "overcommit: {cpu: 4, ram: 2}")
        assert OPTIONS not in render(lab)
        assert not [each for each in answers.steps(lab) if "options" in each.title]

    @pytest.mark.parametrize("node", ["controller", "compute1"])
    def test_the_ratio_of_disks_is_set_where_nova_is(self, tmp_path: Path, node: str) -> None:
        lab = load(tmp_path, "overcommit: {disk: 2}")
        assert "/etc/nova/nova.conf DEFAULT disk_allocation_ratio 2.0" in option_lines(lab, node)

    @pytest.mark.parametrize("release", ["icehouse", "mitaka"])
    def test_an_old_scheduler_is_given_the_filter_that_knows_it(
        self, tmp_path: Path, release: str
    ) -> None:
        # Packstack's own list leaves out DiskFilter up to Mitaka: the ratio would be set, and
        # never read.
        lab = load(tmp_path, "overcommit: {disk: 2}", release=release)
        filters = [line for line in option_lines(lab) if "scheduler_default_filters" in line]
        assert len(filters) == 1
        assert {"DiskFilter", "CoreFilter", "RamFilter"} <= set(filters[0].split()[-1].split(","))
        assert not [line for line in option_lines(lab, "compute1") if "filters" in line]

    def test_options_of_the_spec_go_to_the_nodes_of_their_role(self, tmp_path: Path) -> None:
        stack = (
            "post_config:\n"
            "  all: {$NOVA_CONF: {DEFAULT: {debug: 'True'}}}\n"
            "  compute: {/etc/nova/nova.conf: {libvirt: {cpu_mode: host-passthrough}}}\n"
        )
        lab = load(tmp_path, stack)
        assert option_lines(lab) == ["/etc/nova/nova.conf DEFAULT debug True"]
        assert option_lines(lab, "compute2") == [
            "/etc/nova/nova.conf DEFAULT debug True",
            "/etc/nova/nova.conf libvirt cpu_mode host-passthrough",
        ]

    def test_a_value_is_one_word_of_the_shells_whatever_it_holds(self, tmp_path: Path) -> None:
        stack = 'post_config: {all: {$NOVA_CONF: {DEFAULT: {my_ip: "$(reboot); a\'b"}}}}'
        assert option_lines(load(tmp_path, stack)) == [
            "/etc/nova/nova.conf DEFAULT my_ip " + "'$(reboot); a'\"'\"'b'",
        ]

    def test_what_crudini_takes_for_a_comment_is_refused(self, tmp_path: Path) -> None:
        lab = load(tmp_path, "post_config: {all: {$NOVA_CONF: {DEFAULT: {my_ip: 'a ; b'}}}}")
        with pytest.raises(RenderError, match="crudini takes what follows"):
            answers.preview(lab)

    def test_a_file_that_only_devstack_names_is_refused(self, tmp_path: Path) -> None:
        lab = load(tmp_path, "post_config: {all: {$Q_DHCP_CONF_FILE: {DEFAULT: {debug: 'True'}}}}")
        with pytest.raises(RenderError, match="Packstack does not know") as caught:
            answers.preview(lab)
        assert "$NOVA_CONF" in (caught.value.hint or "")

    def test_every_node_with_options_has_a_step_that_sets_them_and_knows_when_they_are(
        self, tmp_path: Path
    ) -> None:
        lab = load(tmp_path, "overcommit: {disk: 2}")
        for node in lab.nodes:
            found = step(lab, "does not have keys", node.name)
            assert (found.command, found.done) == (f"bash {OPTIONS}", f"bash {OPTIONS} check")


class TestImagesFromGlance:
    @pytest.mark.parametrize(
        ("release", "nova", "glance"),
        [("icehouse", "DEFAULT", "DEFAULT"), ("newton", "glance", "glance_store")],
    )
    def test_direct_copy_gives_both_ends_the_same_id(
        self, tmp_path: Path, release: str, nova: str, glance: str
    ) -> None:
        lab = load(
            tmp_path, "network_mode: flat\nglance: {direct_copy: true}", release=release, nodes=""
        )
        shared = json.loads(render(lab)[METADATA])
        found = option_lines(lab)
        assert f"/etc/nova/nova.conf image_file_url:glance id {shared['id']}" in found
        assert (
            f"/etc/nova/nova.conf image_file_url:glance mountpoint {shared['mountpoint']}" in found
        )
        assert "/etc/nova/nova.conf image_file_url filesystems glance" in found
        assert f"/etc/nova/nova.conf {nova} allowed_direct_url_schemes file" in found
        assert "/etc/glance/glance-api.conf DEFAULT show_multiple_locations True" in found
        place = "/etc/glance/filesystem_store_metadata.json"
        assert (
            f"/etc/glance/glance-api.conf {glance} filesystem_store_metadata_file {place}" in found
        )
        assert f"metadata={place}" in render(lab)[OPTIONS]

    def test_it_is_refused_where_nova_does_not_see_glances_files(self, tmp_path: Path) -> None:
        lab = load(tmp_path, "network_mode: flat\nglance: {direct_copy: true}", release="icehouse")
        with pytest.raises(RenderError, match="direct_copy"):
            answers.preview(lab)

    def test_schemes_are_for_all_computes(self, tmp_path: Path) -> None:
        lab = load(
            tmp_path, "network_mode: flat\nglance: {url_schemes: [http, swift]}", release="newton"
        )
        assert option_lines(lab, "compute2") == [
            "/etc/nova/nova.conf glance allowed_direct_url_schemes http,swift"
        ]
        assert option_lines(lab) == [
            "/etc/glance/glance-api.conf DEFAULT show_multiple_locations True"
        ]
        assert METADATA not in render(lab)

    def test_todays_nova_has_neither(self, tmp_path: Path) -> None:
        for option in ("direct_copy: true", "url_schemes: http"):
            with pytest.raises(SpecError, match="does not have this option"):
                load(tmp_path, f"glance: {{{option}}}")


class TestDocker:
    @pytest.fixture
    def lab(self, tmp_path: Path) -> Lab:
        return load(tmp_path, WITH_DOCKER, release="icehouse", nodes="")

    def test_nova_and_glance_are_told_of_docker(self, lab: Lab) -> None:
        script = render(lab)[DOCKER]
        assert 'crudini --set "$nova_config" DEFAULT compute_driver docker.DockerDriver' in script
        assert re.search(r'--set "\$glance_config" DEFAULT container_formats \S*,docker\n', script)

    def test_the_registry_is_on_5042_and_keeps_images_in_glance(self, lab: Lab) -> None:
        text = render(lab)[REGISTRY]
        assert "\nREGISTRY_PORT=5042\n" in text
        assert "\nSETTINGS_FLAVOR=openstack\n" in text
        assert f"\nOS_PASSWORD={secrets(lab)['admin_password']}\n" in text
        assert "\nOS_GLANCE_URL=http://10.150.0.11:9292\n" in text

    def test_the_registrys_settings_are_for_systemd_and_for_an_init_script(self, lab: Lab) -> None:
        # systemd takes NAME=VALUE alone; a script that sources it must be told to hand it on.
        lines = [line for line in render(lab)[REGISTRY].splitlines() if not line.startswith("#")]
        names = {line.partition("=")[0] for line in lines if "=" in line}
        assert lines[-1].split() == ["export", *dict.fromkeys(lines[-1].split()[1:])]
        assert set(lines[-1].split()[1:]) == names

    def test_nova_is_the_release_that_packages_have_with_the_driver_that_it_lost(
        self, lab: Lab
    ) -> None:
        script = render(lab)[DOCKER]
        assert "git clone https://opendev.org/openstack/nova " in script
        assert "fetch origin icehouse-eol\n" in script
        assert " checkout 556ab844c823dd364032d59ab1b61780243cbfd1 -- nova/virt/docker " in script

    def test_havanas_nova_has_the_driver_still(self, tmp_path: Path) -> None:
        script = render(load(tmp_path, WITH_DOCKER, release="havana", nodes=""))[DOCKER]
        assert "fetch origin havana-eol\n" in script
        assert "-- nova/virt/docker" not in script
        assert "qpid-python" in script  # Havana's broker

    def test_novas_source_is_the_specs_where_it_says_so(self, tmp_path: Path) -> None:
        stack = f"{WITH_DOCKER}git_base: https://git.example\nrefs: {{nova: refs/changes/01/1/1}}"
        script = render(load(tmp_path, stack, release="icehouse", nodes=""))[DOCKER]
        assert "git clone https://git.example/openstack/nova " in script
        slashed = render(
            load(tmp_path, stack.replace(".example", ".example/"), release="icehouse", nodes="")
        )[DOCKER]
        assert "git clone https://git.example/openstack/nova " in slashed
        assert "fetch origin refs/changes/01/1/1\n" in script

    @pytest.mark.parametrize(
        "option", ["git_base: https://git.example", "refs: {nova: icehouse-eol}"]
    )
    def test_packages_have_no_source(self, tmp_path: Path, option: str) -> None:
        lab = load(tmp_path, option, release="icehouse")
        with pytest.raises(RenderError, match="Packstack installs packages"):
            answers.preview(lab)

    def test_nothing_but_nova_is_from_source(self, tmp_path: Path) -> None:
        lab = load(
            tmp_path, f"{WITH_DOCKER}refs: {{glance: icehouse-eol}}", release="icehouse", nodes=""
        )
        with pytest.raises(RenderError, match=r"stack\.refs\.glance"):
            answers.preview(lab)

    def test_neutron_is_refused(self, tmp_path: Path) -> None:
        lab = load(tmp_path, "network_mode: ovs\ndriver: docker", release="icehouse", nodes="")
        with pytest.raises(RenderError, match="does not go with driver docker") as caught:
            answers.preview(lab)
        assert "flat-dhcp" in (caught.value.hint or "")

    def test_a_second_node_is_refused(self, tmp_path: Path) -> None:
        lab = load(tmp_path, WITH_DOCKER, release="icehouse", nodes=COMPUTES)
        with pytest.raises(RenderError, match="one node"):
            answers.preview(lab)

    def test_its_steps_follow_packstacks_each_with_a_test_of_its_own(self, lab: Lab) -> None:
        found = answers.steps(lab)
        commands = [each.command for each in found]
        run = next(
            index for index, command in enumerate(commands) if "packstack --answer-file" in command
        )
        words = [word for word, _title in packstack_docker.STEPS]
        assert commands[run + 1 :] == [f"bash {DOCKER} {word}" for word in words]
        assert [each.done for each in found[run + 1 :]] == [
            f"bash {DOCKER} check {word}" for word in words
        ]

    def test_the_script_has_those_steps_in_that_order(self, lab: Lab) -> None:
        script = render(lab)[DOCKER]
        words = [word for word, _title in packstack_docker.STEPS]
        assert f"\nsteps=({' '.join(words)})\n" in script
        for word in words:
            assert f"\ncheck_{word}() {{" in script
            assert f"\ndo_{word}() {{" in script


class TestSteps:
    def test_packstack_reads_a_copy_since_it_rewrites_what_it_reads(self, tmp_path: Path) -> None:
        found = step(load(tmp_path), "run packstack")
        assert f"packstack --answer-file={ANSWERS}" not in found.command
        assert f"install -m 0600 {ANSWERS} /root/packstack-answers.txt" in found.command
        assert found.user == "root"

    def test_it_runs_again_when_the_answers_are_others(self, tmp_path: Path) -> None:
        found = step(load(tmp_path), "run packstack")
        assert found.done == f"cmp -s {ANSWERS} /root/packstack-answers.done"
        assert found.command.endswith(f"install -m 0600 {ANSWERS} /root/packstack-answers.done")

    def test_every_node_lets_root_in_before_it_runs(self, tmp_path: Path) -> None:
        lab = load(tmp_path)
        found = answers.steps(lab)
        run = next(index for index, each in enumerate(found) if "run packstack" in each.title)
        for node in lab.nodes:
            opened = next(
                index
                for index, each in enumerate(found)
                if each.node == node.name and "let root in" in each.title
            )
            assert opened < run

    def test_root_gets_in_from_the_clouds_networks_alone(self, tmp_path: Path) -> None:
        found = step(load(tmp_path, "api_network: api"), "let root in")
        assert "'Match Address 10.150.0.0/24,10.150.2.0/24'" in found.command
        assert "192.168.150" not in found.command

    def test_the_answers_name_the_key_that_the_steps_put_there(self, tmp_path: Path) -> None:
        lab = load(tmp_path)
        assert "\nCONFIG_SSH_KEY=/root/.ssh/id_ed25519.pub\n" in render(lab)[ANSWERS]
        assert "/root/.ssh/id_ed25519.pub" in step(lab, "give root the lab's key").command

    @pytest.mark.parametrize("row", RELEASES.values(), ids=RELEASES)
    def test_every_node_has_the_releases_repository(self, tmp_path: Path, row: Release) -> None:
        lab = load(tmp_path, release=row.name)
        for node in lab.nodes:
            found = step(lab, "RDO's repository", node.name)
            assert found.done == f"rpm -q {row.text('package')}"
            assert row.text("package") in found.command

    def test_the_proxy_is_yums_on_every_node_and_packstacks_own(self, tmp_path: Path) -> None:
        lab = load(tmp_path, "proxy: {http: 'http://proxy.example:3128'}")
        for node in lab.nodes:
            assert "proxy=http://proxy.example:3128" in step(lab, "tell yum", node.name).command
        assert step(lab, "run packstack").command.startswith(
            ". /etc/profile.d/stacklab-proxy.sh && "
        )

    @pytest.mark.parametrize("release", ["havana", "icehouse"])
    def test_qpidds_configuration_is_mended_when_packstack_has_written_it(
        self, tmp_path: Path, release: str
    ) -> None:
        lab = load(tmp_path, release=release, image="fedora-19")
        found = answers.steps(lab)
        (mended,) = (each for each in found if "rdo-qpidd" in each.title)
        run = next(index for index, each in enumerate(found) if "run packstack" in each.title)
        assert found.index(mended) > run
        assert (mended.node, mended.user) == ("controller", "root")
        assert "s/cluster-mechanism/ha-mechanism/ /etc/qpidd.conf" in mended.command
        assert mended.done == "! grep -qs cluster-mechanism /etc/qpidd.conf"
        assert "rdo-qpidd" not in str(
            answers.steps(load(tmp_path, release=release, image="fedora-20"))
        )

    def test_no_secret_is_in_a_step(self, tmp_path: Path) -> None:
        lab = load(tmp_path, WITH_DOCKER, release="icehouse", nodes="")
        shown = repr(answers.steps(lab))
        assert not [name for name, value in secrets(lab).items() if value in shown]

    @pytest.mark.parametrize("row", RELEASES.values(), ids=RELEASES)
    def test_a_step_is_one_line_of_bash(self, tmp_path: Path, row: Release) -> None:
        for each in answers.steps(load(tmp_path, "overcommit: {disk: 2}", release=row.name)):
            assert "\n" not in each.command + each.done
            assert each.user == "root"
            assert each.done or each.title.startswith("work around")  # those of known bugs
