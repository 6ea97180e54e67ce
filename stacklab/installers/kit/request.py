"""The input and the result of a renderer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeAlias

from stacklab.model.lab import Lab, Node
from stacklab.model.release import Release
from stacklab.paths.project import PROJECT

if TYPE_CHECKING:  # whoever asks a kit for facts need not wait for Jinja2
    import jinja2


Rendered: TypeAlias = Mapping[str, Mapping[PurePosixPath, str]]
"""Node name -> absolute path on that node -> text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One rendering: the lab, its release, its secrets by name, and the templates."""

    lab: Lab
    release: Release
    secrets: Mapping[str, str]
    env: jinja2.Environment

    def render(self, template: str, node: Node, **context: object) -> str:
        """Render `localrc/<template>` for a node.

        The template knows lab, node, stack, release, secrets and `context`.
        """
        from stacklab.installers.kit.templates.environment import render_template

        # What the caller says goes before what every template knows.
        known_names = {
            **self.secrets,
            "secrets": self.secrets,
            "lab": self.lab,
            "stack": self.lab.stack,
            "node": node,
            "release": self.release,
            "spec": shown(self.lab.source),
            "template": f"localrc/{template}",
            **context,
        }
        return render_template(self.env, template, known_names)


def shown(source: Path) -> str:
    """Return the spec's name as a comment may hold it; it is the same in every checkout."""
    path = source.relative_to(PROJECT) if source.is_relative_to(PROJECT) else source
    # Templates may repeat it within quotes, and some readers grep comments, too.
    return re.sub(r"[^A-Za-z0-9._/-]", "?", path.as_posix())
