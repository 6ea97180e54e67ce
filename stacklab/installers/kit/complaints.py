"""What a cloud's services complained of, for whoever wonders why a VM was not made."""

from __future__ import annotations

from collections.abc import Sequence

# nova-scheduler, nova/scheduler/manager.py and nova/filters.py; placement, research_context.py;
# neutron, ml2/drivers/mech_agent.py.
_WORDS = (
    " (ERROR|CRITICAL) |returned 0 hosts|no allocation candidates|found no providers"
    "|Refusing to bind|No valid host"
)


def complaints(units: Sequence[str]) -> str:
    """Return lines of a script for the controller that tell the last complaints of these units."""
    named = " ".join(f"-u {unit}" for unit in units)
    return rf"""
complained='{_WORDS}'
journalctl --since=-20min --output=cat --no-pager {named} |
    grep -E "$complained" | cut -c1-300 | tail -n 8
"""
