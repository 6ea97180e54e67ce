"""DevStack's localrc and local.conf.

What stands in them for which release, mode, driver and role.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from stacklab import releases, spec
from stacklab.errors import RenderError
from stacklab.installers import rendering as answers
from stacklab.installers.devstack.answers import projects
from stacklab.model.stack import Installer
from tests.unit.installers.devstack import devstack_labs as labs


@pytest.mark.parametrize(("release", "mode"), labs.every_mode())
def test_every_release_renders_in_each_of_its_network_modes(
    tmp_path: Path, release: str, mode: str
) -> None:
    files = labs.render(labs.load(tmp_path, release=release, network_mode=mode))
    assert set(files) == {"controller", "compute1", "compute2"}
    assert all(labs.LOCAL_CONF in of_node for of_node in files.values())


@pytest.mark.parametrize(("release", "driver"), labs.every_driver())
def test_every_release_renders_with_each_of_its_drivers(
    tmp_path: Path, release: str, driver: str
) -> None:
    lab = labs.load(tmp_path, release=release, driver=driver)
    assert all(labs.render(lab).values())
    assert answers.steps(lab)


@pytest.mark.parametrize(("release", "mode"), labs.every_mode())
def test_no_release_is_told_a_variable_that_it_does_not_read(
    tmp_path: Path, release: str, mode: str
) -> None:
    inert = releases.find(Installer.DEVSTACK, release).inert
    for files in labs.render(
        labs.load(tmp_path, release=release, network_mode=mode, data_network="data")
    ).values():
        assert not set(labs.values(files[labs.LOCAL_CONF])) & set(inert)


@pytest.mark.parametrize(
    "release", [row.name for row in labs.every_release() if "ovn" in row.network_modes]
)
def test_no_agent_of_open_vswitch_is_enabled_beside_ovn(tmp_path: Path, release: str) -> None:
    # ovn_agent's ovn_sanity_check ends stack.sh where it finds q-agt or q-l3.
    text = labs.rendered(tmp_path, "compute1", release=release, network_mode="ovn")
    assert not {"q-agt", "q-l3", "q-dhcp"} & set(labs.values(text)["ENABLED_SERVICES"].split(","))


def test_the_metadata_agent_of_ovn_became_the_ovn_agent_in_2025_2(tmp_path: Path) -> None:
    for release, agent in (
        ("2025.1", "q-ovn-metadata-agent"),
        ("2025.2", "q-ovn-agent"),
        ("master", "q-ovn-agent"),
    ):
        text = labs.rendered(tmp_path, "compute1", release=release)
        assert labs.values(text)["ENABLED_SERVICES"].split(",")[-1] == agent


def test_a_compute_is_told_where_everything_is(tmp_path: Path) -> None:
    # Without MYSQL_HOST its database would be its own loopback.
    values = labs.values(labs.rendered(tmp_path, "compute1"))
    assert values["HOST_IP"] != values["SERVICE_HOST"]
    for name in ("DATABASE_HOST", "MYSQL_HOST", "RABBIT_HOST", "Q_HOST"):
        assert values[name] == values["SERVICE_HOST"]
    assert values["GLANCE_HOSTPORT"] == f"{values['SERVICE_HOST']}:9292"
    assert values["DATABASE_TYPE"] == "mysql"


def test_the_controller_leaves_instances_to_the_computes_where_there_are_any(
    tmp_path: Path,
) -> None:
    assert "disable_service n-cpu\n" in labs.rendered(tmp_path)
    assert "n-cpu" not in labs.rendered(tmp_path, computes=0)


def test_host_ip_stands_before_everything_that_could_use_it(tmp_path: Path) -> None:
    # stackrc finds HOST_IP out after it has sourced localrc; a reference to it would be empty.
    text = labs.rendered(tmp_path, localrc={"all": ["MY_URL=http://$HOST_IP"]})
    assert text.index("\nHOST_IP=") < text.index("$HOST_IP")


@pytest.mark.parametrize("node", ["controller", "compute1", "compute2"])
def test_all_passwords_are_on_every_node(tmp_path: Path, node: str) -> None:
    # stack.sh prompts for some of them on the controller alone, and leaves them empty elsewhere.
    values = labs.values(labs.rendered(tmp_path, node))
    for name in ("ADMIN_PASSWORD", "DATABASE_PASSWORD", "RABBIT_PASSWORD", "SERVICE_PASSWORD"):
        assert values[name] == labs.SECRETS[name.lower()]


def test_the_token_is_asked_for_up_to_liberty(tmp_path: Path) -> None:
    assert (
        labs.values(labs.rendered(tmp_path, release="liberty"))["SERVICE_TOKEN"]
        == labs.SECRETS["service_token"]
    )
    assert "SERVICE_TOKEN" not in labs.rendered(tmp_path, release="mitaka")
    assert "service_token" not in answers.secret_names(labs.load(tmp_path, release="mitaka"))


def test_the_console_page_goes_with_the_novnc_that_is_cloned(tmp_path: Path) -> None:
    # noVNC 1.0 has vnc_lite.html in place of vnc_auto.html, and master, Mitaka's default, is past
    # that.
    for release, page in (
        ("rocky", "vnc_auto.html"),
        ("stein", "vnc_lite.html"),
        ("2026.1", "vnc_lite.html"),
    ):
        assert labs.values(labs.rendered(tmp_path, "compute1", release=release))[
            "NOVNCPROXY_URL"
        ].endswith(page)
    assert labs.values(labs.rendered(tmp_path, release="mitaka"))["NOVNC_BRANCH"] == "stable/v0.6"


def test_branches_that_are_gone_are_named_by_their_tags(tmp_path: Path) -> None:
    values = labs.values(labs.rendered(tmp_path, release="mitaka"))
    assert values["NOVA_BRANCH"] == values["REQUIREMENTS_BRANCH"] == "mitaka-eol"
    assert values["GIT_BASE"] == "https://opendev.org"  # git://git.openstack.org is gone
    assert "_BRANCH" not in labs.rendered(tmp_path, release="2026.1")


def test_a_row_of_the_spec_goes_before_the_releases_own_tag(tmp_path: Path) -> None:
    refs = {
        "nova": "refs/changes/12/345612/3",
        "oslo.config": "3.9.0",
        "devstack": "refs/changes/1/1/1",
    }
    values = labs.values(labs.rendered(tmp_path, release="mitaka", refs=refs))
    assert values["NOVA_BRANCH"] == "refs/changes/12/345612/3"
    assert values["GLANCE_BRANCH"] == "mitaka-eol"
    assert (values["OSLOCFG_BRANCH"], values["LIBS_FROM_GIT"]) == (
        "3.9.0",
        "oslo.config",
    )  # PyPI's otherwise
    assert "DEVSTACK_BRANCH" not in values


def test_a_project_that_the_release_does_not_clone_is_refused(tmp_path: Path) -> None:
    # Heat left DevStack for a plugin of its own after Newton: HEAT_BRANCH would be read by nobody.
    assert "HEAT_BRANCH=x" in labs.rendered(tmp_path, release="newton", refs={"heat": "x"})
    with pytest.raises(RenderError, match="does not clone 'heat'") as caught:
        labs.rendered(tmp_path, refs={"heat": "x"})
    assert "stack.plugins" in (caught.value.hint or "")


def test_plugins_are_enabled_in_order_at_the_releases_branch_or_their_own(tmp_path: Path) -> None:
    plugins = {
        "b": {"url": "https://opendev.org/x/b"},
        "a": {"url": "https://opendev.org/x/a", "ref": "v1"},
    }
    text = labs.rendered(tmp_path, "compute1", plugins=plugins, refs={"b": "refs/changes/1/2/3"})
    lines = [line for line in text.splitlines() if line.startswith("enable_plugin")]
    assert lines == [
        "enable_plugin b https://opendev.org/x/b refs/changes/1/2/3",
        "enable_plugin a https://opendev.org/x/a v1",
    ]
    assert "enable_plugin b https://opendev.org/x/b stable/2026.1" in labs.rendered(
        tmp_path, plugins=plugins
    )


def test_a_git_base_of_the_spec_is_everybodys(tmp_path: Path) -> None:
    text = labs.rendered(
        tmp_path, release="2025.1", driver="zun", git_base="https://git.example/mirror"
    )
    assert "GIT_BASE=https://git.example/mirror\n" in text
    assert "enable_plugin zun https://git.example/mirror/openstack/zun stable/2025.1" in text


def test_zun_has_its_three_plugins_on_every_node(tmp_path: Path) -> None:
    for node in ("controller", "compute1"):
        text = labs.rendered(tmp_path, node, release="2025.1", driver="zun")
        names = [line.split()[1] for line in text.splitlines() if line.startswith("enable_plugin")]
        assert names == ["devstack-plugin-container", "zun", "kuryr-libnetwork"]
        assert labs.values(text)["KURYR_CONFIG_DIR"] == "/etc/kuryr-libnetwork"


def test_a_plugin_that_a_driver_needs_is_enabled_once_when_the_spec_names_it_too(
    tmp_path: Path,
) -> None:
    # enable_plugin ends stack.sh at the second time.
    own = {"zun": {"url": "https://git.example/zun", "ref": "mine"}}
    text = labs.rendered(tmp_path, release="2025.1", driver="zun", plugins=own)
    assert [line for line in text.splitlines() if " zun " in line] == [
        "enable_plugin zun https://git.example/zun mine"
    ]


def test_zun_refuses_an_api_network_because_it_compares_two_addresses(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="HOST_IP is SERVICE_HOST"):
        labs.rendered(tmp_path, release="2025.1", driver="zun", api_network="api")


@pytest.mark.parametrize("release", ["icehouse", "juno", "kilo", "liberty"])
def test_nova_docker_of_old_has_a_localrc_with_its_four_exports(
    tmp_path: Path, release: str
) -> None:
    # prepare_devstack.sh appends them to localrc; which hides [[local|localrc]] of a local.conf.
    files = labs.render(labs.load(tmp_path, release=release, driver="docker"))["controller"]
    for line in (
        "VIRT_DRIVER=docker",
        "DEFAULT_IMAGE_NAME=cirros",
        "NON_STANDARD_REQS=1",
        'IMAGE_URLS=" "',
    ):
        assert f"\nexport {line}\n" in files[labs.LOCALRC]
    assert "[[local|" not in files[labs.LOCAL_CONF].replace("a [[local|", "")
    assert "enable_plugin" not in files[labs.LOCALRC]


def test_nova_docker_of_mitaka_is_a_plugin_and_needs_no_localrc(tmp_path: Path) -> None:
    files = labs.render(labs.load(tmp_path, release="mitaka", driver="docker"))["compute1"]
    assert set(files) == {labs.LOCAL_CONF}
    assert (
        "enable_plugin nova-docker https://opendev.org/x/nova-docker stable/mitaka"
        in files[labs.LOCAL_CONF]
    )


def test_the_docker_driver_of_havana_is_devstacks_own(tmp_path: Path) -> None:
    text = labs.rendered(tmp_path, "compute1", release="havana", driver="docker")
    assert "\nVIRT_DRIVER=docker\n" in text
    assert "IMAGE_URLS" not in text


def test_a_docker_compute_knows_the_clouds_admin_without_a_second_copy_of_the_password(
    tmp_path: Path,
) -> None:
    # It uploads docker's image to glance; stack.sh knows the admin only where keystone is.
    text = labs.rendered(tmp_path, "compute1", release="liberty", driver="docker")
    assert "\nexport OS_PASSWORD=$ADMIN_PASSWORD\n" in text
    assert text.index("\nADMIN_PASSWORD=") < text.index("OS_PASSWORD")
    assert "OS_PASSWORD" not in labs.rendered(tmp_path, release="liberty", driver="docker")


def test_the_users_lines_are_the_last_word_and_go_by_role(tmp_path: Path) -> None:
    lines = {"all": ["LIBVIRT_TYPE=kvm"], "compute": ['MINE="two  words"']}
    controller = labs.rendered(tmp_path, localrc=lines)
    compute = labs.rendered(tmp_path, "compute1", localrc=lines)
    assert controller.rstrip().endswith("LIBVIRT_TYPE=kvm")
    assert compute.rstrip().endswith('LIBVIRT_TYPE=kvm\nMINE="two  words"')


def test_the_way_out_is_exported_and_reaches_the_nodes_directly(tmp_path: Path) -> None:
    text = labs.rendered(
        tmp_path, proxy={"http": "http://proxy.example:3128", "no_proxy": [".example"]}
    )
    assert "\nexport http_proxy=http://proxy.example:3128\n" in text
    assert "10.170.0.11" in labs.values(text)["no_proxy"]


def test_fake_instances_need_no_hypervisor(tmp_path: Path) -> None:
    values = labs.values(labs.rendered(tmp_path, "compute1", driver="fake"))
    assert values["VIRT_DRIVER"] == "fake"
    assert "LIBVIRT_TYPE" not in values


def test_a_node_of_no_role_gets_nothing(tmp_path: Path) -> None:
    path = labs.write(tmp_path)
    path.write_text(path.read_text().replace('"role": "compute"', '"role": "node"'))
    files = labs.render(spec.load(path))
    assert [bool(of_node) for of_node in files.values()] == [True, False, False]


def test_every_release_is_in_the_table_of_projects() -> None:
    assert set(releases.of(Installer.DEVSTACK)) == set(projects.table().order)


def test_every_branch_that_a_release_overrides_is_of_a_project_that_it_clones() -> None:
    for release in labs.every_release():
        known = {
            project.variable
            for project in projects.table().projects
            if release.name in project.releases
        }
        assert set(release.words("projects")) <= known, release.name
