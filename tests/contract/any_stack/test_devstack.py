"""localrc is read by a real bash, post-config by our model of DevStack's scripts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from stacklab import releases
from stacklab.installers import rendering as answers
from stacklab.installers.kit.roles import has_compute
from stacklab.model.lab import Lab, Node
from stacklab.model.stack import Installer
from tests.contract.any_stack.stacks import (
    QUICK,
    by_name,
    check_glance,
    check_overcommit,
    lines_of,
    load,
    needs_bash,
    secrets_of,
    stacks,
    wanted_of,
)
from tests.contract.meta_config import SCRIPTS
from tests.contract.rendered import check_options, era_of, options_of, sourced

pytestmark = needs_bash


def check_devstack(
    lab: Lab, node: Node, files: Mapping[str, str], secrets: Mapping[str, str]
) -> None:
    found = sourced(files, SCRIPTS[era_of(lab.stack.release)])
    nic = node.nic_on(lab.stack.network)
    api = lab.controller.nic_on(lab.stack.api_network or lab.stack.network)
    assert nic is not None
    assert api is not None
    expected = {name.upper(): value for name, value in secrets.items()} | lines_of(lab, node)
    expected |= {"HOST_IP": str(nic.address.ip), "SERVICE_HOST": str(api.address.ip)}
    expected |= {f"{project.upper()}_BRANCH": ref for project, ref in lab.stack.refs}
    if lab.stack.fixed_range:
        expected["FIXED_RANGE"] = str(lab.stack.fixed_range)
    if lab.stack.git_base:
        expected["GIT_BASE"] = lab.stack.git_base
    if lab.stack.proxy.http:
        expected["http_proxy"] = lab.stack.proxy.http
    assert {name: found.get(name) for name in expected} == expected
    for plugin in lab.stack.plugins:
        assert f"plugin:{plugin.name},{plugin.url},{plugin.ref}" in found["switched"].replace(
            ", ", ","
        )
    if "local.conf" in files:
        check_options(lab, files["local.conf"], wanted_of(lab, node))
        if has_compute(lab, node):
            check_overcommit(
                lab,
                options_of(files["local.conf"], lab.stack.release, {}).get("/etc/nova_conf", {}),
            )


@pytest.mark.parametrize("name", ["havana", "icehouse", "mitaka", "yoga", "2025.1", "2026.1"])
def test_any_stack_of_devstack_comes_through_bash_and_post_config(
    name: str, tmp_path: Path
) -> None:
    release = releases.find(Installer.DEVSTACK, name)

    @QUICK
    @given(stack=stacks(release))
    def check(stack: dict[str, Any]) -> None:
        lab = load(Installer.DEVSTACK, release, stack, tmp_path)
        secrets = secrets_of(lab)
        rendered = by_name(answers.render(lab, secrets))
        for node, files in rendered.items():
            check_devstack(lab, lab.node(node), files, secrets)
        check_glance(lab, rendered, name)

    check()
