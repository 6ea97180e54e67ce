"""Answer files: what a lab's installer asks for, rendered from the lab and its secrets."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from stacklab.errors import RenderError
from stacklab.installers.contract import InstallerAnswers, Rendered, Request, Step, release_of
from stacklab.installers.kit import host
from stacklab.installers.kit.environment import environment
from stacklab.installers.kit.guard import check_secrets
from stacklab.model.lab import Lab
from stacklab.model.stack import NO_MIRRORS, Installer, Mirrors
from stacklab.paths import PROJECT
from stacklab.words import suggest

__all__ = [
    "INSTALLERS",
    "PLACEHOLDER",
    "Rendered",
    "Step",
    "installer",
    "preview",
    "render",
    "secret_names",
    "shown_secrets",
    "steps",
]

PLACEHOLDER = "x" * 20  # what preview() puts where a secret belongs

# What other installers call what kolla-ansible calls so.
_USUAL: Mapping[str, str] = MappingProxyType(
    {
        "admin_password": "keystone_admin_password",
        "rabbit_password": "rabbitmq_password",
        "metadata_password": "metadata_secret",
        "horizon_secret": "horizon_secret_key",
    }
)

# One module each; imported when a lab asks for it, so that no lab waits for the others.
INSTALLERS: Mapping[Installer, str] = MappingProxyType(
    {
        Installer.CONTRAIL: "contrail.answers",
        Installer.OPENSDN: "opensdn.answers.files",
        Installer.DEVSTACK: "devstack.answers",
        Installer.PACKSTACK: "packstack.answers.files",
        Installer.KOLLA: "kolla.answers.files",
    }
)


def installer(word: Installer) -> InstallerAnswers | None:
    """What makes an installer's files; None for `none`."""
    if word is Installer.NONE:
        return None
    module = importlib.import_module(f"stacklab.installers.{INSTALLERS[word]}")
    return InstallerAnswers(
        secret_names=module.secret_names,
        render=module.render,
        steps=module.steps,
        shaped=getattr(module, "shaped_secrets", None),
    )


def secret_names(lab: Lab) -> tuple[str, ...]:
    """Name the secrets that `render` wants for this lab.

    Raises RenderError for a secret of the user's that the installer does not ask for.
    """
    found = installer(lab.stack.installer)
    names = found.secret_names(lab) if found else ()
    for source in lab.stack.secrets:
        if source.name not in names:
            usual = _USUAL.get(source.name)
            listed = f"its secrets: {', '.join(names)}"
            is_known = usual is not None and usual in names
            right = (
                f"did you mean {usual}? {listed}"
                if is_known
                else suggest(source.name, names, label="its secrets")
            )
            raise RenderError(
                f"stack.secrets: {lab.stack.installer} asks for no {source.name!r}", hint=right
            )
    return names


def shown_secrets(lab: Lab, secrets: Mapping[str, str]) -> Mapping[str, tuple[str, ...]]:
    """Every string that may stand in a rendered file for a secret: itself, and the form that its reader wants."""
    found = installer(lab.stack.installer)
    shaped = found.shaped(lab, secrets) if found is not None and found.shaped is not None else {}
    return {
        name: (value, shaped[name]) if name in shaped else (value,)
        for name, value in secrets.items()
    }


def render(
    lab: Lab,
    secrets: Mapping[str, str],
    *,
    mirrors: Mirrors = NO_MIRRORS,
    templates: Path = PROJECT / "localrc",
) -> Rendered:
    """Render every answer file of every node; nothing is written.

    `mirrors` are the host's own, for what the lab's stack leaves open. Raises
    RenderError, with template and line, for a secret or a variable that is missing,
    and for a value that would not survive the installer's scripts.
    """
    found = installer(lab.stack.installer)
    if found is None:
        return {node.name: {} for node in lab.nodes}
    names = secret_names(lab)
    wanted = {name: value for name, value in secrets.items() if name in names}
    check_secrets(wanted)
    rendered = found.render(
        Request(lab=lab, release=release_of(lab), secrets=wanted, env=environment(templates))
    )
    around = host.files(lab, mirrors)
    return {name: {**around[name], **files} for name, files in rendered.items()}


def preview(lab: Lab, *, mirrors: Mirrors = NO_MIRRORS) -> Rendered:
    """Render with placeholders for secrets: what there would be, or the RenderError, before anything is made."""
    return render(lab, dict.fromkeys(secret_names(lab), PLACEHOLDER), mirrors=mirrors)


def steps(lab: Lab, *, mirrors: Mirrors = NO_MIRRORS) -> tuple[Step, ...]:
    """What is done with the files, node by node, in this order."""
    found = installer(lab.stack.installer)
    return (*host.steps(lab, mirrors), *found.steps(lab)) if found else ()
