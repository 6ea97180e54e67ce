"""The checks that a lab's spec promises, in one order, and the families that judge them."""

from __future__ import annotations

from stacklab.checks.cloud import proof, services
from stacklab.checks.custom import family as custom
from stacklab.checks.families import Families
from stacklab.checks.impairments import family as impairments
from stacklab.checks.nodes import family as nodes
from stacklab.checks.pairs import family as pairs
from stacklab.checks.reach import beside_family, isolation_family, outside_family
from stacklab.checks.result import ALL, Check, Selection
from stacklab.model.lab import Lab

# The only list of families, in the order of reports.
FAMILIES = Families(
    nodes.FAMILY,
    pairs.FAMILY,
    isolation_family.FAMILY,
    beside_family.FAMILY,
    outside_family.FAMILY,
    impairments.FAMILY,
    custom.FAMILY,
    services.FAMILY,
    proof.FAMILY,
)


def expected(lab: Lab, selection: Selection = ALL) -> tuple[Check, ...]:
    """List every check that the spec promises and the selection wants, node by node."""
    return FAMILIES.expected(lab, selection)
