"""A globals.yml with what is known of its lab."""

from __future__ import annotations

from dataclasses import dataclass

from stacklab.lint.scope import Scope
from stacklab.lint.yaml_tree import YamlEntry
from stacklab.model.lab import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Globals:
    """The file's variables."""

    file: str
    root: YamlEntry
    scope: Scope

    def text(self, name: str, default: str = "") -> str:
        """Return a variable as it was written; "" if a template decides."""
        entry = self.root.get(name)
        if entry is None:
            return default
        return "" if entry.is_template else entry.text

    def is_on(self, name: str, default: bool) -> bool:
        """Return a flag, by Ansible's words."""
        entry = self.root.get(name)
        return (
            default
            if entry is None or entry.is_template
            else entry.text.lower() in ("yes", "on", "1", "true")
        )

    @property
    def api_network(self) -> Network | None:
        """Return the lab's network that carries the APIs."""
        lab = self.scope.lab
        if lab is None:
            return None
        wanted = lab.stack.api_network or lab.stack.network
        return next((network for network in lab.networks if network.name == wanted), None)
