"""YAML is read by PyYAML, ini files by configparser."""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import jinja2
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stacklab import releases
from stacklab.installers.kit.roles import is_in_cloud
from stacklab.model.lab import Lab
from stacklab.model.stack import Installer
from tests.contract.any_stack.stacks import (
    ETC,
    QUICK,
    load,
    needs_bash,
    plain,
    render_or_reject,
    secrets_of,
    wanted_of,
    with_answers,
)

pytestmark = needs_bash


def in_files(lab: Lab, files: Mapping[PurePosixPath, str]) -> dict[str, dict[str, dict[str, str]]]:
    """File name -> section -> option -> value, of the ini files that kolla-ansible lays over its
    own.
    """
    found: dict[str, dict[str, dict[str, str]]] = {}
    for path, text in files.items():
        if path.suffix == ".conf" and "config" in path.parts:
            parser = configparser.RawConfigParser(default_section="-")
            parser.optionxform = str  # type: ignore[assignment,method-assign]
            parser.read_string(jinja2.Template(text).render())
            found[str(path)] = {name: dict(parser[name]) for name in parser.sections()}
    return found


def yaml_words(found: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Those that YAML takes for text even where nothing is quoted: no `on`, no `123`."""
    return found.filter(lambda value: isinstance(yaml.safe_load(value), str))


@pytest.mark.parametrize("name", ["2025.1", "2026.1"])
def test_any_stack_of_kolla_comes_through_yaml_and_ini(name: str, tmp_path: Path) -> None:
    release = releases.find(Installer.KOLLA, name)
    keys = st.sampled_from(("openstack_region_name", "nova_console", "docker_namespace"))

    @QUICK
    @given(stack=with_answers(release, keys, yaml_words(plain)))
    def check(stack: dict[str, Any]) -> None:
        lab = load(Installer.KOLLA, release, only_for_all(stack), tmp_path)
        secrets = secrets_of(lab)
        files = render_or_reject(lab, secrets)["controller"]
        found = {path.name: text for path, text in files.items()}
        assert dict(lab.stack.answers).items() <= yaml.safe_load(found["globals.yml"]).items()
        passwords = yaml.safe_load(found["passwords.lab.yml"])
        assert passwords["keystone_admin_password"] in secrets.values()
        laid = in_files(lab, files)
        for (file, section, key), value in wanted_of(lab, lab.controller).items():
            assert (
                laid[f"/etc/kolla/config/{ETC[file].removeprefix('/etc/')}.conf"][section][key]
                == value
            )
        for resource in ("cpu", "ram", "disk"):
            ratio = getattr(lab.stack.overcommit, resource)
            if ratio is not None:
                assert (
                    float(
                        laid["/etc/kolla/config/nova.conf"]["DEFAULT"][
                            f"{resource}_allocation_ratio"
                        ]
                    )
                    == ratio
                )

    check()


def only_for_all(stack: dict[str, Any]) -> dict[str, Any]:
    """The same stack without options for one role: kolla's files are the same on all hosts."""
    if "post_config" not in stack:
        return stack
    found = {role: each for role, each in stack["post_config"].items() if role == "all"}
    return {key: value for key, value in {**stack, "post_config": found}.items() if value}


def by_path(stack: dict[str, Any]) -> dict[str, Any]:
    """The same stack with paths in place of DevStack's variables."""
    found = {
        role: {
            f"{ETC[file]}/{ETC[file].rpartition('/')[2]}.conf": sections
            for file, sections in files.items()
        }
        for role, files in stack.get("post_config", {}).items()
    }
    return {**stack, "post_config": found} if found else stack


@pytest.mark.parametrize("name", list(releases.of(Installer.OPENSDN)))
def test_any_stack_of_opensdn_comes_through_yaml(name: str, tmp_path: Path) -> None:
    release = releases.find(Installer.OPENSDN, name)
    keys = st.sampled_from(("DOMAIN_NAME", "LOG_LEVEL", "BGP_ASN_TEXT"))

    @QUICK
    @given(stack=with_answers(release, keys, yaml_words(plain)))
    def check(stack: dict[str, Any]) -> None:
        lab = load(Installer.OPENSDN, release, by_path(only_for_all(stack)), tmp_path)
        secrets = secrets_of(lab)
        files = render_or_reject(lab, secrets)["controller"]
        found = yaml.safe_load(
            next(text for path, text in files.items() if path.name == "instances.yaml")
        )
        assert dict(lab.stack.answers).items() <= found["contrail_configuration"].items()
        for (file, section, key), value in wanted_of(lab, lab.controller).items():
            parser = configparser.RawConfigParser(default_section="-")
            parser.read_string(found["kolla_config"]["customize"][PurePosixPath(file).name])
            assert parser[section][key] == value
        for node in lab.nodes:
            nic = node.nic_on(lab.stack.network)
            assert nic is not None
            if is_in_cloud(lab, node):
                assert found["instances"][node.name]["ip"] in {
                    str(each.address.ip) for each in node.nics
                }

    check()
