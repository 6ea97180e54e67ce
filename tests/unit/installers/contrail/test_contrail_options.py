"""A contrail lab's options that DevStack, nova and glance read.

They end where its DevStack of that time reads them.
"""

from __future__ import annotations

import json
from ipaddress import IPv4Network
from pathlib import PurePosixPath

import pytest

from stacklab.errors import RenderError
from stacklab.installers import rendering as answers
from stacklab.installers.contrail.answers.files import DEVSTACK_CONF, DEVSTACK_LOCALRC
from stacklab.installers.rendering import Step
from stacklab.model.lab import Lab
from stacklab.model.stack import ConfigOption, Glance, Overcommit, Plugin, Role
from tests.unit.installers.contrail.labs import BRANCHES, SECRETS, make_lab
from tests.unit.installers.devstack.test_devstack_options import Options, sections
from tests.unit.installers.kit.test_host import with_stack

METADATA = PurePosixPath("/opt/stack/glance-filesystem.json")
COPY = Glance(direct_copy=True, url_schemes=("http",))
AIO = (("aio", Role.CONTROLLER),)


def options_of(lab: Lab, node: str) -> Options:
    return sections(answers.render(lab, SECRETS)[node].get(DEVSTACK_CONF, ""))


def localrc_of(lab: Lab, node: str) -> list[str]:
    return answers.render(lab, SECRETS)[node][DEVSTACK_LOCALRC].splitlines()


def steps_of(lab: Lab, node: str) -> list[Step]:
    return [step for step in answers.steps(lab) if step.node == node]


@pytest.mark.parametrize("branch", BRANCHES)
def test_both_ends_of_a_direct_copy_know_the_same_file_system(branch: str) -> None:
    lab = with_stack(make_lab(branch), glance=COPY)
    is_old = branch == "R1.06"  # Havana's nova and glance know these in DEFAULT
    glance = options_of(lab, "controller")["$GLANCE_API_CONF"]
    assert glance["DEFAULT"]["show_multiple_locations"] == "True"
    assert glance["DEFAULT" if is_old else "glance_store"]["filesystem_store_metadata_file"] == str(
        METADATA
    )
    metadata = json.loads(answers.render(lab, SECRETS)["controller"][METADATA])
    assert (
        metadata["mountpoint"] == "/opt/stack/data/glance/images"
    )  # DATA_DIR's default; localrc sets none
    for compute in ("compute1", "compute2"):
        found = options_of(lab, compute)
        assert set(found) == {"$NOVA_CONF"}
        nova = found["$NOVA_CONF"]
        assert nova["DEFAULT" if is_old else "glance"]["allowed_direct_url_schemes"] == "file,http"
        assert nova[f"image_file_url:{nova['image_file_url']['filesystems']}"] == metadata
        assert METADATA not in answers.render(lab, SECRETS)[compute]


def test_a_download_by_url_shares_no_file_system() -> None:
    lab = with_stack(make_lab(), glance=Glance(url_schemes=("http", "ftp")))
    assert options_of(lab, "compute1") == {
        "$NOVA_CONF": {"glance": {"allowed_direct_url_schemes": "http,ftp"}}
    }
    assert METADATA not in answers.render(lab, SECRETS)["controller"]
    assert "glance" not in str(answers.steps(lab))


def test_an_all_in_one_node_has_both_ends_and_shares_nothing() -> None:
    lab = with_stack(make_lab(nodes=AIO), glance=COPY)
    assert set(options_of(lab, "aio")) == {"$NOVA_CONF", "$GLANCE_API_CONF"}
    assert "glance" not in str(answers.steps(lab))


@pytest.mark.parametrize("branch", BRANCHES)
def test_computes_see_glances_images_before_their_nova_starts(branch: str) -> None:
    lab = with_stack(make_lab(branch), glance=COPY)
    titles = [step.title for step in steps_of(lab, "controller")]
    assert titles.index("run DevStack") < titles.index("share glance's images with the computes")
    for compute in ("compute1", "compute2"):
        found = steps_of(lab, compute)
        titles = [step.title for step in found]
        at = titles.index("see glance's images, as the controller does")
        # The vrouter has moved the address of that network by then.
        assert titles.index("contrail.sh start") < at < titles.index("run DevStack")
        assert (
            "10.150.0.10:/opt/stack/data/glance /opt/stack/data/glance nfs ro" in found[at].command
        )
        assert found[at].user == "root"


def test_a_compute_starts_no_glance_of_its_own() -> None:
    # Nobody makes the directory of its tokens there (init_glance is g-reg's); it ends, and by
    # service_check stack.sh.
    for branch in BRANCHES:
        (line,) = (
            line
            for line in localrc_of(make_lab(branch), "compute1")
            if line.startswith("ENABLED_SERVICES=")
        )
        assert not [name for name in line.partition("=")[2].split(",") if name.startswith("g-")]


def test_the_specs_own_option_takes_the_place_of_ours() -> None:
    own = ConfigOption(
        role="compute", file="$NOVA_CONF", section="image_file_url", key="filesystems", value="mine"
    )
    lab = with_stack(make_lab(), glance=COPY, overcommit=Overcommit(cpu=8), post_config=(own,))
    found = options_of(lab, "compute1")["$NOVA_CONF"]
    assert found["image_file_url"] == {"filesystems": "mine"}
    assert found["DEFAULT"]["cpu_allocation_ratio"] == "8"


@pytest.mark.parametrize("branch", BRANCHES)
def test_the_tenants_first_network_has_its_gateway_in_it(branch: str) -> None:
    # DevStack's default gateway is 10.0.0.1, whatever the range.
    lab = with_stack(make_lab(branch), fixed_range=IPv4Network("10.77.8.0/26"))
    assert {"FIXED_RANGE=10.77.8.0/26", "NETWORK_GATEWAY=10.77.8.1"} <= set(
        localrc_of(lab, "controller")
    )
    assert not [line for line in localrc_of(lab, "compute1") if "10.77.8" in line]


@pytest.mark.parametrize("branch", ["master", "R3.0", "R2.20"])
def test_plugins_are_devstacks_at_its_releases_tag_or_the_specs_ref(branch: str) -> None:
    url = "https://git.example.org/~me/{}"
    plugins = (
        Plugin(name="one", url=url.format("one")),
        Plugin(name="two", url=url.format("two"), ref="main"),
    )
    lab = with_stack(make_lab(branch), plugins=plugins, refs=(("two", "refs/changes/1/2/3"),))
    for node in ("controller", "compute1"):
        assert [line for line in localrc_of(lab, node) if line.startswith("enable_plugin")] == [
            f"enable_plugin one https://git.example.org/~me/one {BRANCHES[branch]}-eol",
            "enable_plugin two https://git.example.org/~me/two refs/changes/1/2/3",
        ]


def test_a_url_that_bash_would_act_on_is_refused() -> None:
    plugins = (Plugin(name="one", url="https://git.example.org/$(id)"),)
    with pytest.raises(RenderError, match="not a plain assignment: 'enable_plugin one"):
        answers.render(with_stack(make_lab(), plugins=plugins), SECRETS)


def test_devstack_itself_may_have_a_ref() -> None:
    lab = with_stack(make_lab(), refs=(("devstack", "refs/changes/12/345612/3"),))
    assert "clone devstack at refs/changes/12/345612/3" in [
        step.title for step in steps_of(lab, "compute1")
    ]
    assert not [line for line in localrc_of(lab, "compute1") if "345612" in line]
