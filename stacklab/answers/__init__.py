"""Answer files: what a lab's installer asks for, rendered from the lab and its secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType

import jinja2

from stacklab.answers import contrail
from stacklab.answers.environment import environment
from stacklab.answers.lint import check_secrets
from stacklab.model import Installer, Lab
from stacklab.paths import PROJECT

Rendered = Mapping[str, Mapping[PurePosixPath, str]]
"""Node name -> absolute path on that node -> text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallerAnswers:
    """What one installer needs, and what makes its files."""

    secret_names: tuple[str, ...]
    render: Callable[[Lab, Mapping[str, str], jinja2.Environment], Rendered]


def _none(lab: Lab, _secrets: Mapping[str, str], _env: jinja2.Environment) -> Rendered:
    return {node.name: {} for node in lab.nodes}


INSTALLERS: Mapping[Installer, InstallerAnswers] = MappingProxyType({
    Installer.NONE: InstallerAnswers(secret_names=(), render=_none),
    Installer.CONTRAIL: InstallerAnswers(secret_names=contrail.SECRET_NAMES, render=contrail.render),
})  # fmt: skip


def secret_names(lab: Lab) -> tuple[str, ...]:
    """Name the secrets that `render` wants for this lab."""
    return INSTALLERS[lab.stack.installer].secret_names


def render(lab: Lab, secrets: Mapping[str, str], *, templates: Path = PROJECT / "localrc") -> Rendered:
    """Render every answer file of every node; nothing is written.

    Raises RenderError, with template and line, for a secret or a variable that
    is missing, and for a value that would not survive the installer's scripts.
    """
    installer = INSTALLERS[lab.stack.installer]
    wanted = {name: value for name, value in secrets.items() if name in installer.secret_names}
    check_secrets(wanted)
    return installer.render(lab, wanted, environment(templates))


def preview(lab: Lab) -> Rendered:
    """Render with placeholders for secrets: what there would be, or the RenderError, before anything is made."""
    return render(lab, dict.fromkeys(secret_names(lab), "x" * 20))
