"""contrail-installer's localrc is read by a real bash."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from stacklab import releases
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
    render_or_reject,
    secrets_of,
    stacks,
    wanted_of,
)
from tests.contract.rendered import check_options, options_of, source_text

pytestmark = needs_bash


@pytest.mark.parametrize("name", list(releases.of(Installer.CONTRAIL)))
def test_any_stack_of_contrail_comes_through_bash(name: str, tmp_path: Path) -> None:
    release = releases.find(Installer.CONTRAIL, name)

    @QUICK
    @given(stack=stacks(release))
    def check(stack: dict[str, Any]) -> None:
        lab = load(Installer.CONTRAIL, release, stack, tmp_path)
        secrets = secrets_of(lab)
        rendered = render_or_reject(lab, secrets)
        for node, files in rendered.items():
            texts = {
                path.parent.name: text for path, text in files.items() if path.name == "localrc"
            }
            check_contrail(lab, lab.node(node), texts, secrets)
        files_of = by_name(rendered)
        check_glance(lab, files_of, release.pairs[0])
        for node, files in files_of.items():
            conf = files.get("local.conf", "")
            check_options(lab, conf, wanted_of(lab, lab.node(node)), release.pairs[0])
            check_overcommit(lab, options_of(conf, release.pairs[0], {}).get("/etc/nova_conf", {}))

    check()


def check_contrail(
    lab: Lab, node: Node, texts: Mapping[str, str], secrets: Mapping[str, str]
) -> None:
    nic = node.nic_on(lab.stack.network)
    assert nic is not None
    for tree in ("contrail-installer", "devstack"):
        found = source_text(texts[tree])
        assert {key.upper(): value for key, value in secrets.items()}.items() <= found.items()
    assert found["HOST_IP"] == str(nic.address.ip)
    expected = lines_of(lab, node)
    expected |= {f"{project.upper()}_BRANCH": ref for project, ref in lab.stack.refs}
    if lab.stack.fixed_range and node is lab.controller:
        expected |= {
            "FIXED_RANGE": str(lab.stack.fixed_range),
            "NETWORK_GATEWAY": str(lab.stack.fixed_range[1]),
        }
    assert expected.items() <= found.items()
    for plugin in lab.stack.plugins:
        assert f"plugin:{plugin.name},{plugin.url},{plugin.ref}" in found["switched"]
