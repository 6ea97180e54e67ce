"""An instances.yaml as the rules look at it."""

from __future__ import annotations

from dataclasses import dataclass

from stacklab.lint.readers.yaml_tree import YamlEntry
from stacklab.lint.scope import Scope
from stacklab.model.release import Release


@dataclass(frozen=True, slots=True, kw_only=True)
class Instances:
    """An instances.yaml, and whose it is."""

    name: str  # what messages call it
    root: YamlEntry
    scope: Scope
    release: Release | None

    @property
    def is_contrails(self) -> bool:
        """Return True for a file of Contrail's own deployer, which knows more than OpenSDN's."""
        era = self.scope.era
        return era is not None and not era.is_in_table

    def section(self, *names: str) -> YamlEntry | None:
        """Return the entry at the end of a path of keys."""
        entry = self.root
        for name in names:
            child = entry.get(name)
            if child is None:
                return None
            entry = child
        return entry

    def option(self, name: str) -> YamlEntry | None:
        """Return a key of contrail_configuration."""
        return self.section("contrail_configuration", name)

    def known_option(self, name: str) -> YamlEntry | None:
        """Return a key of contrail_configuration whose value is known before Ansible runs."""
        option = self.option(name)
        if option is None or option.is_template:
            return None
        return option

    @property
    def instances(self) -> tuple[YamlEntry, ...]:
        """Return the instances, in the file's order."""
        section = self.section("instances")
        return section.items if section is not None else ()

    @property
    def addresses(self) -> set[str]:
        """Return what the instances give as their addresses."""
        # A new set for each caller, who may add to it.
        addresses = set()
        for instance in self.instances:
            address = instance.get("ip")
            if address is not None:
                addresses.add(address.text)
        return addresses

    @property
    def is_openstack(self) -> bool:
        """Return True if an OpenStack is to be installed, as far as the file tells."""
        orchestrator = self.option("CLOUD_ORCHESTRATOR")
        if orchestrator is not None:
            return orchestrator.text == "openstack"
        # Without the option, what is written for OpenStack tells that it is meant.
        if self.section("kolla_config") is not None:
            return True
        return any("openstack" in role for role in self.roles)

    @property
    def roles(self) -> frozenset[str]:
        """Return every role of any instance."""
        names: set[str] = set()
        for instance in self.instances:
            roles = instance.get("roles")
            if roles is not None:
                names.update(role.key for role in roles.items)
        return frozenset(names)
