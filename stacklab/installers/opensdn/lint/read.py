"""An instances.yaml as the rules look at it."""

from __future__ import annotations

from dataclasses import dataclass

from stacklab.lint.scope import Scope
from stacklab.lint.yaml_tree import YamlEntry
from stacklab.model.release import Release


@dataclass(frozen=True, slots=True, kw_only=True)
class Instances:
    """An instances.yaml, and whose it is."""

    name: str  # what messages call it
    root: YamlEntry
    scope: Scope
    release: Release | None

    def section(self, *names: str) -> YamlEntry | None:
        """Return the entry at the end of a path of keys."""
        entry: YamlEntry | None = self.root
        for name in names:
            entry = entry.get(name) if entry is not None else None
        return entry

    def option(self, name: str) -> YamlEntry | None:
        """Return a key of contrail_configuration."""
        return self.section("contrail_configuration", name)

    @property
    def instances(self) -> tuple[YamlEntry, ...]:
        """Return the instances, in the file's order."""
        section = self.section("instances")
        return section.items if section is not None else ()

    @property
    def addresses(self) -> set[str]:
        """Return what the instances give as their addresses."""
        entries = [instance.get("ip") for instance in self.instances]
        return {entry.text for entry in entries if entry is not None}

    @property
    def is_openstack(self) -> bool:
        """Return True if an OpenStack is to be installed, as far as the file tells."""
        orchestrator = self.option("CLOUD_ORCHESTRATOR")
        if orchestrator is not None:
            return orchestrator.text == "openstack"
        return self.section("kolla_config") is not None or any(
            "openstack" in role for role in self.roles
        )

    @property
    def roles(self) -> frozenset[str]:
        """Return every role of any instance."""
        return frozenset(
            role.key
            for instance in self.instances
            if (roles := instance.get("roles"))
            for role in roles.items
        )
