"""A globals.yml with what is known of its lab and its release."""

from __future__ import annotations

from dataclasses import dataclass

from stacklab.installers.kolla.lint.names import KnownNames
from stacklab.lint.readers.yaml_tree import YamlEntry
from stacklab.lint.scope import Scope
from stacklab.model.lab import Network
from stacklab.model.release import Release

YES = ("yes", "on", "1", "true")  # as Ansible's filter `bool` has them, in any case


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalsFile:
    """The file's variables, and what they are held against."""

    file: str
    root: YamlEntry
    scope: Scope
    release: Release | None  # its row; None for those of which names alone are known
    release_name: str
    names: KnownNames

    @property
    def is_known(self) -> bool:
        """Return True if the names of the release are known."""
        return self.release_name in self.names.releases

    def fixed_entry(self, name: str) -> YamlEntry | None:
        """Return the entry of a variable that is set; None if Jinja decides its value."""
        entry = self.root.get(name)
        return None if entry is None or entry.is_template else entry

    def written_entry(self, name: str) -> YamlEntry | None:
        """Return the entry of a variable that the file itself gives a text; None for any other."""
        entry = self.fixed_entry(name)
        return entry if entry is not None and entry.text else None

    def text_of(self, name: str, default: str = "") -> str:
        """Return a variable as it was written; "" if a template decides."""
        entry = self.root.get(name)
        if entry is None:
            return default
        return "" if entry.is_template else entry.text

    def is_on(self, name: str, *, default: bool) -> bool:
        """Return a flag, by Ansible's words."""
        entry = self.fixed_entry(name)
        return default if entry is None else entry.text.lower() in YES

    @property
    def api_network(self) -> Network | None:
        """Return the lab's network that carries the APIs."""
        lab = self.scope.lab
        if lab is None:
            return None
        # api_interface is network_interface by default.
        wanted = lab.stack.api_network or lab.stack.network
        for network in lab.networks:
            if network.name == wanted:
                return network
        return None
