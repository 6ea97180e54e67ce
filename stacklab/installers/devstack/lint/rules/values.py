"""Rules for values that stack.sh takes as they are, and that do not do what they were meant to."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stacklab.installers.devstack.lint import known
from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding

RULES = (
    warning(
        "devstack-logfile",
        "a LOGFILE without a directory",
        "openstack/devstack@stable/2026.1:stack.sh: LOGFILE_DIR",
    ),
    warning(
        "devstack-cpu-mode",
        "a LIBVIRT_CPU_MODE that nova does not take",
        "openstack/nova:nova/conf/libvirt.py: cpu_mode",
    ),
    rule(
        "devstack-tunnel-range",
        "a range of tunnels that neutron refuses",
        "openstack/neutron:neutron/plugins/ml2/drivers/type_tunnel.py: _parse_tunnel_ranges",
    ),
)
_BOOK = Book(RULES)
_FIRST_WITHOUT_DIRNAME = "kilo"  # Juno and older ask dirname, which says . for a bare name
_FIRST_WITH_CPU_MODE = "ussuri"
_CPU_MODES = ("host-model", "host-passthrough", "custom", "none")
# Python reads numbers of up to 4,300 digits; an id of a tunnel has 10 at most.
_TUNNEL_RANGE = re.compile(r"\s*([0-9]{1,10})\s*:\s*([0-9]{1,10})\s*")
_TUNNEL_RANGES = "TENANT_TUNNEL_RANGES"
_FIRST_WITH_TUNNEL_RANGES = "juno"
# Where one of these is set, stack.sh writes that instead.
_OPTIONS = tuple(f"Q_ML2_PLUGIN_{kind}_TYPE_OPTIONS" for kind in ("GRE", "VXLAN", "GENEVE"))


def check(rc: Localrc) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    yield from _check_logfile(rc)
    yield from _check_cpu_mode(rc)
    yield from _check_tunnel_ranges(rc)


def _check_logfile(rc: Localrc) -> Iterator[Finding]:
    """Yield a bare name, which ${LOGFILE%/*} leaves as it is: the directory gets that name."""
    logfile, release = rc.value("LOGFILE"), rc.scope.release
    if not logfile or "/" in logfile:
        return
    if known.is_surely_before(release, _FIRST_WITHOUT_DIRNAME):
        return
    yield _BOOK.finding(
        "devstack-logfile",
        rc.file,
        rc.line("LOGFILE"),
        effect=f"since Kilo stack.sh makes a directory {logfile}, logs into {logfile}.DATE beside "
        "it, and never removes old logs",
        fix="LOGFILE=$DEST/logs/stack.sh.log",
    )


def _check_cpu_mode(rc: Localrc) -> Iterator[Finding]:
    """Yield a mode that nova does not know, such as the name of a model."""
    mode, release = rc.value("LIBVIRT_CPU_MODE"), rc.scope.release
    # Other drivers do not read it, nor do older releases.
    if not mode or mode in _CPU_MODES or rc.value("VIRT_DRIVER") not in ("", "libvirt"):
        return
    if known.is_surely_before(release, _FIRST_WITH_CPU_MODE):
        return
    fix = f"LIBVIRT_CPU_MODE=custom and LIBVIRT_CPU_MODEL={mode}"
    if mode.lower() in _CPU_MODES:
        fix = f"LIBVIRT_CPU_MODE={mode.lower()}"
    yield _BOOK.finding(
        "devstack-cpu-mode",
        rc.file,
        rc.line("LIBVIRT_CPU_MODE"),
        effect=f"{mode} is not one of {', '.join(_CPU_MODES)}: stack.sh writes it into nova.conf, "
        "and nova-compute does not start",
        fix=fix,
    )


def _check_tunnel_ranges(rc: Localrc) -> Iterator[Finding]:
    """Yield ranges that are not MIN:MAX of two numbers, where the release reads the variable."""
    value, release = rc.value(_TUNNEL_RANGES), rc.scope.release
    if not value or rc.is_any_set(*_OPTIONS) or all(map(_is_range, value.split(","))):
        return
    if known.is_surely_before(release, _FIRST_WITH_TUNNEL_RANGES):
        return
    yield _BOOK.finding(
        "devstack-tunnel-range",
        rc.file,
        rc.line(_TUNNEL_RANGES),
        effect=f"neutron-server does not start: {value} is not a range of tunnels",
        fix=f"{_TUNNEL_RANGES}=1:1000",
    )


def _is_range(text: str) -> bool:
    match = _TUNNEL_RANGE.fullmatch(text)
    return match is not None and int(match[1]) <= int(match[2])
