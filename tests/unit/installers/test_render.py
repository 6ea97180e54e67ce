from __future__ import annotations

import dataclasses
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings

from stacklab import releases
from stacklab.errors import RenderError
from stacklab.installers import KITS, kit_of
from stacklab.installers.contrail.answers import steps as contrail_steps
from stacklab.installers.contrail.answers.files import (
    DEVSTACK_CONF,
    DEVSTACK_LOCALRC,
    INSTALLER_LOCALRC,
)
from stacklab.installers.rendering import render, secret_names
from stacklab.model.lab import Lab
from stacklab.model.stack import ConfigOption, Installer, Lines, Overcommit, Proxy, Role
from stacklab.stages.stage import steps_of
from tests.unit.installers.contrail.labs import BRANCHES, SECRETS, THREE_NODES, labs, make_lab
from tests.unit.installers.contrail.labs import secrets as any_secrets
from tests.unit.installers.kit.test_host import with_stack


def assignments(text: str) -> dict[str, str]:
    pairs = (
        line.partition("=")
        for line in text.splitlines()
        if "=" in line and not line.startswith("#")
    )
    return {name: value for name, _, value in pairs}


def installer_localrc(lab: Lab, node: str) -> dict[str, str]:
    return assignments(render(lab, SECRETS)[node][INSTALLER_LOCALRC])


def devstack_localrc(lab: Lab, node: str) -> dict[str, str]:
    return assignments(render(lab, SECRETS)[node][DEVSTACK_LOCALRC])


def switched(lab: Lab, node: str) -> dict[str, bool]:
    lines = render(lab, SECRETS)[node][DEVSTACK_LOCALRC].splitlines()
    verbs = {"enable_service": True, "disable_service": False}
    return {
        name: verbs[words[0]]
        for line in lines
        if (words := line.split()) and words[0] in verbs
        for name in words
    }


def test_every_node_of_the_three_gets_both_localrc_under_opt_stack() -> None:
    rendered = render(make_lab(), SECRETS)
    assert list(rendered) == ["controller", "compute1", "compute2"]
    for files in rendered.values():
        assert set(files) == {
            PurePosixPath("/opt/stack/contrail-installer/localrc"),
            PurePosixPath("/opt/stack/devstack/localrc"),
        }


def test_every_installer_that_a_spec_can_name_is_known() -> None:
    assert {*KITS, Installer.NONE} == set(Installer)
    assert all(kit_of(word) is not None for word in KITS)


def test_a_lab_without_an_installer_needs_no_secrets_and_gets_no_files() -> None:
    lab = make_lab(installer=Installer.NONE)
    assert secret_names(lab) == ()
    assert render(lab, {}) == {"controller": {}, "compute1": {}, "compute2": {}}


def test_a_node_without_a_role_gets_no_files_beside_a_controller() -> None:
    rendered = render(make_lab(nodes=(*THREE_NODES, ("client", Role.NODE))), SECRETS)
    assert rendered["client"] == {}
    assert rendered["compute2"]


def test_the_controller_installs_all_and_a_compute_only_compute() -> None:
    lab = make_lab()
    assert installer_localrc(lab, "controller")["INSTALL_PROFILE"] == "ALL"
    assert installer_localrc(lab, "compute1")["INSTALL_PROFILE"] == "COMPUTE"


def test_addresses_are_those_on_the_stacks_network() -> None:
    lab = make_lab(cloud="10.99.0.0/24", device="ens7")
    compute = installer_localrc(lab, "compute2")
    assert compute["COMPUTE_HOST_IP"] == "10.99.0.12"
    assert (
        compute["SERVICE_HOST"]
        == compute["CONTROL_IP"]
        == compute["Q_META_DATA_IP"]
        == "10.99.0.10"
    )
    assert compute["PHYSICAL_INTERFACE"] == "ens7"
    stack = devstack_localrc(lab, "compute2")
    assert stack["HOST_IP"] == stack["VNCSERVER_LISTEN"] == "10.99.0.12"
    assert stack["GLANCE_HOSTPORT"] == "10.99.0.10:9292"
    assert {stack[name] for name in ("SERVICE_HOST", "MYSQL_HOST", "RABBIT_HOST", "Q_HOST")} == {
        "10.99.0.10"
    }


@pytest.mark.parametrize("branch", BRANCHES)
def test_what_contrail_sh_has_no_default_for_is_always_there(branch: str) -> None:
    for node in ("controller", "compute1"):
        assert {
            "INSTALL_PROFILE",
            "PHYSICAL_INTERFACE",
            "SERVICE_HOST",
            "SERVICE_TIMEOUT",
            "RABBIT_PASSWORD",
            "SERVICE_TOKEN",
            "CONTRAIL_DEFAULT_INSTALL",
            "LOGFILE",
        } <= set(installer_localrc(make_lab(branch), node))


def test_no_gateway_is_asked_for_where_there_is_no_vrouter() -> None:
    assert not any(
        name.startswith("CONTRAIL_VGW") for name in installer_localrc(make_lab(), "controller")
    )


@pytest.mark.parametrize("branch", ["master", "R3.0", "R2.20"])
def test_enabled_services_is_left_alone_where_contrail_sh_overwrites_it(branch: str) -> None:
    lab = make_lab(branch)
    assert "ENABLED_SERVICES" not in installer_localrc(lab, "controller")
    assert "ENABLED_SERVICES" not in installer_localrc(lab, "compute1")
    assert (
        "between its configure and its start"
        in render(lab, SECRETS)["controller"][INSTALLER_LOCALRC]
    )


def test_r1_06_lists_services_with_the_agent_on_computes_alone() -> None:
    lab = make_lab("R1.06")
    assert "agent" not in installer_localrc(lab, "controller")["ENABLED_SERVICES"].split(",")
    assert installer_localrc(lab, "compute1")["ENABLED_SERVICES"] == "agent"


def test_a_single_node_keeps_the_agent_and_nova_compute() -> None:
    aio = make_lab("R1.06", nodes=(("aio", Role.NODE),))
    assert installer_localrc(aio, "aio")["ENABLED_SERVICES"].endswith(",agent")
    assert installer_localrc(aio, "aio")["INSTALL_PROFILE"] == "ALL"
    assert "n-cpu" not in switched(aio, "aio")


def test_devstacks_controller_runs_no_compute_volumes_orchestration_or_tempest() -> None:
    services = switched(make_lab(), "controller")
    off = (
        "n-cpu n-net q-agt q-dhcp q-l3 cinder c-api c-sch c-vol heat h-api h-api-cfn h-api-cw"
        " h-eng tempest"
    )
    assert {name for name, on in services.items() if not on} >= set(off.split())
    assert services["q-svc"] is services["q-meta"] is services["neutron"] is True


def test_devstacks_compute_runs_nova_compute_and_no_rabbit() -> None:
    services = devstack_localrc(make_lab(), "compute1")["ENABLED_SERVICES"].split(",")
    assert "n-cpu" in services
    assert "neutron" in services
    assert "rabbit" not in services


def test_branches_differ_in_sources_and_plugin() -> None:
    by_branch = {branch: installer_localrc(make_lab(branch), "controller") for branch in BRANCHES}
    assert {branch: names["CONTRAIL_DEFAULT_INSTALL"] for branch, names in by_branch.items()} == {
        "master": "False",
        "R3.0": "False",
        "R2.20": "True",
        "R1.06": "True",
    }
    assert by_branch["R2.20"]["LAUNCHPAD_BRANCH"] == "r2.20"
    assert by_branch["R3.0"]["CONTRAIL_BRANCH"] == "R3.0"
    assert {
        branch
        for branch in BRANCHES
        if "Q_PLUGIN_CLASS" in devstack_localrc(make_lab(branch), "compute1")
    } == {
        "master",
        "R3.0",
        "R2.20",
    }
    assert "NOVA_VIF_DRIVER" in devstack_localrc(make_lab("R1.06"), "compute1")
    assert devstack_localrc(make_lab("R2.20"), "controller")["NOVA_BRANCH"] == "kilo-eol"
    assert devstack_localrc(make_lab("R1.06"), "compute1")["OSLOCFG_BRANCH"] == "havana-eol"


def test_the_header_names_spec_and_template_but_no_time_or_checkout() -> None:
    text = render(make_lab(), SECRETS)["compute1"][DEVSTACK_LOCALRC]
    assert (
        "# Rendered from labs/contrail-3node.yaml by localrc/contrail/devstack.localrc.j2"
        in text.splitlines()[1]
    )


def test_a_spec_whose_name_scripts_would_act_on_is_masked_in_the_header() -> None:
    lab = make_lab(source=Path("/labs/CONTRAIL_DEFAULT_INSTALL=True\n$(id).yaml"))
    text = render(lab, SECRETS)["compute1"][INSTALLER_LOCALRC]
    assert "# Rendered from /labs/??True???id?.yaml by " in text.splitlines()[1]


def test_rendering_twice_gives_the_same() -> None:
    assert render(make_lab(), SECRETS) == render(make_lab(), SECRETS)


def test_the_specs_refs_go_before_the_releases_own() -> None:
    lab = with_stack(
        make_lab(), refs=(("nova", "refs/changes/12/345612/3"), ("oslo.config", "mitaka-eol"))
    )
    found = devstack_localrc(lab, "compute1")
    assert found["NOVA_BRANCH"] == "refs/changes/12/345612/3"
    assert found["OSLOCFG_BRANCH"] == "mitaka-eol"
    assert found["GLANCE_BRANCH"] == "mitaka-eol"
    with pytest.raises(RenderError, match="DevStack mitaka does not clone 'novva'") as caught:
        render(with_stack(make_lab(), refs=(("novva", "x"),)), SECRETS)
    assert "did you mean nova?" in str(caught.value.hint)


def test_further_lines_end_devstacks_localrc_for_their_role() -> None:
    lines = (
        Lines(role="all", lines=("A=1",)),
        Lines(role="compute", lines=("B=$A", "enable_service x")),
    )
    rendered = render(with_stack(make_lab(), lines=lines), SECRETS)
    assert rendered["controller"][DEVSTACK_LOCALRC].endswith("\nA=1\n")
    assert rendered["compute1"][DEVSTACK_LOCALRC].endswith("\nA=1\nB=$A\nenable_service x\n")
    assert "A=1" not in rendered["compute1"][INSTALLER_LOCALRC]


def test_options_of_services_go_into_a_local_conf_beside_the_localrc_that_wins() -> None:
    option = ConfigOption(
        role="compute", file="$NOVA_CONF", section="libvirt", key="cpu_mode", value="none"
    )
    lab = with_stack(make_lab(), overcommit=Overcommit(cpu=8.0), post_config=(option,))
    rendered = render(lab, SECRETS)
    text = rendered["compute1"][DEVSTACK_CONF]
    assert "\n[[post-config|$NOVA_CONF]]\n[DEFAULT]\ncpu_allocation_ratio = 8.0\n" in text
    assert "\n[libvirt]\ncpu_mode = none\n" in text
    assert "[[local|localrc]]\n" not in text
    assert "cpu_mode" not in rendered["controller"][DEVSTACK_CONF]
    assert DEVSTACK_CONF not in render(make_lab(), SECRETS)["compute1"]


def test_git_base_and_proxy_are_in_both_trees() -> None:
    proxy = Proxy(http="http://proxy.example.org:3128")
    lab = with_stack(make_lab(), git_base="https://git.example.org", proxy=proxy)
    assert devstack_localrc(lab, "compute1")["GIT_BASE"] == "https://git.example.org"
    for found in (devstack_localrc(lab, "controller"), installer_localrc(lab, "controller")):
        assert found["https_proxy"] == "http://proxy.example.org:3128"
        assert "10.150.0.11" in found["no_proxy"].split(",")


def test_the_vrouter_takes_the_data_networks_nic_over_and_is_registered_by_its_address() -> None:
    lab = with_stack(make_lab(), data_network="mgmt")
    found = installer_localrc(lab, "compute1")
    assert found["PHYSICAL_INTERFACE"] == "eth0"
    assert found["COMPUTE_HOST_IP"] == "192.168.150.11"
    assert devstack_localrc(lab, "compute1")["HOST_IP"] == "10.150.0.11"


def test_contrail_shs_own_variables_can_be_set_but_not_twice() -> None:
    lab = with_stack(make_lab(), answers=(("NB_JOBS", "4"), ("ZK_VER", "3.4.14")))
    assert installer_localrc(lab, "controller")["NB_JOBS"] == "4"
    assert "NB_JOBS" not in devstack_localrc(lab, "controller")
    with pytest.raises(RenderError, match="LOGDAYS was set on line"):
        render(with_stack(make_lab(), answers=(("LOGDAYS", "9"),)), SECRETS)


def test_a_library_of_a_ref_is_cloned_and_not_taken_from_pypi() -> None:
    lab = with_stack(make_lab(), refs=(("python-novaclient", "mitaka-eol"), ("nova", "mitaka-eol")))
    found = devstack_localrc(lab, "compute1")
    assert found["LIBS_FROM_GIT"] == "python-novaclient"
    assert found["NOVACLIENT_BRANCH"] == "mitaka-eol"


def test_git_is_there_before_anything_is_cloned() -> None:
    titles = [
        step.title
        for step in steps_of(contrail_steps.stages(make_lab()))
        if step.node == "compute1"
    ]
    assert titles[0] == "install git"


def test_the_controller_is_finished_before_a_compute_begins_and_loses_its_agent() -> None:
    steps = steps_of(contrail_steps.stages(make_lab()))
    assert list(dict.fromkeys(step.node for step in steps)) == [
        "controller",
        "compute1",
        "compute2",
    ]
    titles = [step.title for step in steps if step.node == "controller"]
    agent = next(title for title in titles if "agent" in title)
    assert (
        titles.index("contrail.sh configure")
        < titles.index(agent)
        < titles.index("contrail.sh start")
    )
    assert not any("agent" in step.title for step in steps if step.node == "compute1")


@pytest.mark.parametrize(("branch", "novnc"), [("master", "stable/v0.6"), ("R2.20", "stable/v0.6")])
def test_the_devstack_beside_contrail_has_what_a_devstack_lab_has(branch: str, novnc: str) -> None:
    lab = make_lab(branch)
    found = devstack_localrc(lab, "controller")
    assert found["NOVNC_BRANCH"] == novnc  # master's console pages are others
    pair = releases.find(Installer.DEVSTACK, BRANCHES[branch])
    lines = dict(line.split("=") for bug in pair.bugs for line in bug.localrc)
    assert "TEMPEST_BRANCH" in lines
    assert lines.items() <= found.items()
    assert "TEMPEST_BRANCH" not in devstack_localrc(lab, "compute1")  # the bug is the controller's


def test_a_ref_of_the_spec_goes_before_the_line_of_a_bug() -> None:
    lab = with_stack(make_lab(), refs=(("tempest", "16.0.0"),))
    assert devstack_localrc(lab, "controller")["TEMPEST_BRANCH"] == "16.0.0"


@pytest.mark.parametrize("branch", BRANCHES)
def test_the_bugs_of_the_devstack_beside_contrail_are_worked_around_within_its_clone(
    branch: str,
) -> None:
    for node in ("controller", "compute2"):
        steps = [
            step for step in steps_of(contrail_steps.stages(make_lab(branch))) if step.node == node
        ]
        titles = [step.title for step in steps]
        (at,) = (
            index for index, title in enumerate(titles) if title.startswith("work around get-pip")
        )
        assert titles[at - 1].startswith("clone devstack at ")
        assert at < titles.index("run DevStack")
        assert steps[at].command.startswith("cd /opt/stack/devstack && ")
        assert steps[at].done.startswith("cd /opt/stack/devstack && ")
        assert steps[at].user == "stack"


def test_a_finished_devstack_is_known_by_the_summary_of_the_log_that_localrc_names() -> None:
    log = devstack_localrc(make_lab(), "compute1")["LOGFILE"]
    (stage,) = (
        stage
        for stage in contrail_steps.stages(make_lab())
        if any((step.node, step.title) == ("compute1", "run DevStack") for step in stage.steps)
    )
    assert stage.done == f"grep -qs 'stack.sh completed' {log}.summary"


def test_devstack_comes_from_the_specs_git_base_and_contrail_installer_from_github() -> None:
    lab = with_stack(make_lab(), git_base="https://git.example.org/")
    assert devstack_localrc(lab, "compute1")["GIT_BASE"] == "https://git.example.org"
    urls = [
        word
        for step in steps_of(contrail_steps.stages(lab))
        for word in step.command.split()
        if word.startswith("https://")
    ]
    assert "https://git.example.org/openstack/devstack" in urls
    assert "https://github.com/Juniper/contrail-installer" in urls  # GIT_BASE is OpenStack's


@settings(max_examples=50, deadline=None)  # a busy CI host is no failure
@given(lab=labs(), secrets=any_secrets)
def test_any_lab_renders_and_passes_the_guard(lab: Lab, secrets: dict[str, str]) -> None:
    for node, files in render(lab, secrets).items():
        role = lab.node(node).role
        assert bool(files) is (role is not Role.NODE)
        assert all(text.endswith("\n") and "\r" not in text for text in files.values())


def test_a_checkout_below_a_path_of_another_script_is_shown_in_ascii() -> None:
    # "İ" is an i to a pattern that ignores case, and so slipped through one.
    lab = dataclasses.replace(make_lab(), source=Path("/home/İpek/labs/x.yaml"))
    text = render(lab, SECRETS)["controller"][PurePosixPath("/opt/stack/devstack/localrc")]
    assert "/home/?pek/labs/x.yaml" in text
