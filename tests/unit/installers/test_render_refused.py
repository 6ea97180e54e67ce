from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from stacklab.errors import RenderError
from stacklab.installers.contrail.answers.files import (
    DEVSTACK_LOCALRC,
)
from stacklab.installers.rendering import render
from stacklab.model.stack import Role
from stacklab.paths.project import PROJECT
from tests.unit.installers.contrail.labs import BRANCHES, SECRETS, make_lab


def test_an_unknown_branch_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        RenderError, match=r"no 'R4.0' of contrail \(known: master, R3.0, R2.20, R1.06\)"
    ):
        render(make_lab("R4.0"), SECRETS)


@pytest.mark.parametrize("branch", BRANCHES)
def test_a_devstack_of_another_release_is_refused(branch: str) -> None:
    with pytest.raises(RenderError, match="'stable/newton' does not go with"):
        render(make_lab(branch, "stable/newton"), SECRETS)


def test_two_controllers_are_refused_by_name() -> None:
    lab = make_lab(nodes=(("one", Role.CONTROLLER), ("two", Role.CONTROLLER)))
    with pytest.raises(RenderError, match="one controller, the lab has one, two"):
        render(lab, SECRETS)


def test_a_node_off_the_stacks_network_is_refused_by_name() -> None:
    lab = make_lab()
    lab = dataclasses.replace(lab, stack=dataclasses.replace(lab.stack, network="storage"))
    with pytest.raises(RenderError, match="node controller needs a NIC on storage"):
        render(lab, SECRETS)


@pytest.mark.parametrize("name", SECRETS)
def test_a_missing_secret_is_named_with_template_and_line(name: str) -> None:
    template = PROJECT / "localrc" / "contrail" / "contrail-installer.localrc.j2"
    line = template.read_text().split(f"{{{{ {name} }}}}")[0].count("\n") + 1
    some = {key: value for key, value in SECRETS.items() if key != name}
    with pytest.raises(RenderError) as caught:
        render(make_lab(), some)
    assert (
        caught.value.message
        == f"contrail/contrail-installer.localrc.j2:{line}: '{name}' is undefined"
    )


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x" * 7,
        "x" * 33,
        "se cret0123456789",
        "a&b0123456789abcdef",
        "ümlaut0123456789x",
        "0123456789abcdef\n",
    ],
)
def test_a_secret_that_sed_or_bash_would_mangle_is_refused_unseen(value: str) -> None:
    with pytest.raises(RenderError, match="secret rabbit_password") as caught:
        render(make_lab(), {**SECRETS, "rabbit_password": value})
    assert not value or value not in str(caught.value)


def test_secrets_of_others_are_not_looked_at() -> None:
    assert render(make_lab(), {**SECRETS, "else": "se cret"}) == render(make_lab(), SECRETS)


def test_a_template_can_be_tried_from_another_directory(tmp_path: Path) -> None:
    (tmp_path / "contrail").mkdir()
    for name in ("contrail-installer", "devstack"):
        (tmp_path / "contrail" / f"{name}.localrc.j2").write_text("CONTRAIL_DEFAULT_INSTALL=True\n")
    assert render(make_lab(), SECRETS, templates=tmp_path)["compute1"][DEVSTACK_LOCALRC].endswith(
        "=True\n"
    )


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (
            "A=1\nB={{ lab.nope }}\n",
            "contrail-installer.localrc.j2:2: 'stacklab.model.lab.Lab object' has no attribute",
        ),
        ("A=1\n{% if %}\n", "contrail-installer.localrc.j2:2: Expected an expression"),
        (
            "B=True\nA={{ node.name }} b\n",
            "contrail-installer/localrc:2: not a plain assignment: 'A'",
        ),
        (None, "contrail-installer.localrc.j2: no such template"),
    ],
)
def test_a_broken_template_is_named_with_its_line(
    tmp_path: Path, template: str | None, message: str
) -> None:
    (tmp_path / "contrail").mkdir()
    if template is not None:
        (tmp_path / "contrail" / "contrail-installer.localrc.j2").write_text(template)
    with pytest.raises(RenderError) as caught:
        render(make_lab(), SECRETS, templates=tmp_path)
    assert message in caught.value.message
