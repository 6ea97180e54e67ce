"""Rule: nodes have the memory that their cloud's services take, where the release's row says it.

A node with less comes up, and loses services to the kernel's OOM killer while a stage runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stacklab import releases
from stacklab.model.lab import Size
from stacklab.model.release import Release
from stacklab.model.stack import NO_INSTALLER, Role
from stacklab.spec.defaults import DEFAULT_MEMORY
from stacklab.spec.form.schema import LabSpec, NodeSpec
from stacklab.spec.form.stack import StackSpec
from stacklab.spec.mistakes import SpecMistake
from stacklab.spec.rules.context import RuleContext, has_role

# Keys of `stack` that a controller's memory depends on, each with the trait that says how.
_OPTIONAL = (("tls", "tls_memory"), ("dashboard", "dashboard_memory"))
_SHOWN = 3  # services that take the most


def check_memory_of_services(spec: LabSpec, context: RuleContext) -> Iterator[SpecMistake]:
    """Yield nodes with less memory than the services of their role take together."""
    stack = spec.stack
    # In a spec that lost a part, a role may be missing.
    if stack is None or stack.installer in (None, NO_INSTALLER) or not context.is_whole:
        return
    known = releases.of(stack.installer)
    release = known.get(stack.release or next(iter(known)))
    if release is None:
        return
    has_computes = has_role(spec, Role.COMPUTE)
    for name, node in spec.nodes.items():
        services = _services_of(node, release, stack, has_computes=has_computes)
        needed_mib = sum(services.values())
        memory = node.memory or DEFAULT_MEMORY
        if memory.mib < needed_mib:
            largest = sorted(services, key=lambda service: -services[service])[:_SHOWN]
            words = ", ".join(f"{service} {services[service]} MiB" for service in largest)
            yield SpecMistake(
                path=("nodes", name, "memory") if node.memory else ("nodes", name),
                wrong=f"{memory} of memory, and its services take {Size(needed_mib)}",
                right=f"most of it: {words}",
                at_key=node.memory is None,
            )


def _services_of(
    node: NodeSpec, release: Release, stack: StackSpec, *, has_computes: bool
) -> Mapping[str, int]:
    """Return the services of a node with their memory in MiB; empty where nothing is known."""
    role = node.role or Role.NODE
    traits: list[str] = []
    if role is Role.CONTROLLER:
        traits.append("controller_memory")
        traits += [trait for key, trait in _OPTIONAL if getattr(stack, key)]
    # Without computes, the controller is one.
    if role is Role.COMPUTE or (role is Role.CONTROLLER and not has_computes):
        traits.append("compute_memory")
    services: dict[str, int] = {}
    for trait in traits:
        for service, mib in release.mapping(trait).items():
            # What both roles have runs once.
            services[service] = max(services.get(service, 0), int(mib))
    return services
