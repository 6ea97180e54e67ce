"""Context of the rules: what they know beside the spec, and questions that several of them ask."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from stacklab.model.release import Release
from stacklab.model.stack import Role
from stacklab.spec.form.schema import LabSpec
from stacklab.spec.mistakes import Keys, SpecMistake
from stacklab.words import suggest


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleContext:
    """What the rules must know beside the spec."""

    name: str
    # Every network that is written, also one with mistakes; None: unknown.
    declared: tuple[str, ...] | None = None
    is_whole: bool = True  # False: something was left out, so it is not known what is missing
    known_images: Collection[str] | None = None

    def is_undeclared(self, network: str) -> bool:
        """Return True if the spec does not have a network of that name, not even a wrong one."""
        return self.declared is not None and network not in self.declared

    def is_known_image(self, image: str) -> bool:
        """Return True for an image of the catalogue, or if the catalogue is not known here."""
        return self.known_images is None or image in self.known_images


def has_role(spec: LabSpec, role: Role) -> bool:
    """Return True if the spec gives a node that role."""
    return any(node.role is role for node in spec.nodes.values())


def title_of(release: Release) -> str:
    """Return a release as findings name it."""
    return f"{release.installer} {release.name}"


def undeclared_network(path: Keys, name: str, context: RuleContext) -> SpecMistake:
    """Return the finding that a network is named which is not declared."""
    return SpecMistake(
        path=path,
        wrong=f"no network '{name}'",
        right=suggest(name, context.declared or (), label="declared"),
    )
