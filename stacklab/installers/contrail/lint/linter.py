"""Rules for contrail-installer's localrc, as contrail.sh and its helper scripts take it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stacklab.installers.contrail.lint.names import NAMES
from stacklab.installers.devstack.lint import localrc, shell_rules
from stacklab.installers.devstack.lint.addresses import is_loopback
from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding
from stacklab.lint.near import Near
from stacklab.lint.scope import Scope, Source

_SH = "Juniper/contrail-installer@cfe0fc0:contrail.sh"
_CONFIG = "Juniper/contrail-installer@cfe0fc0:contrail_config_functions"
RULES = (
    *shell_rules.RULES,
    rule("contrail-profile", "an INSTALL_PROFILE that is neither ALL nor COMPUTE", _SH),
    rule(
        "contrail-default-install", "a CONTRAIL_DEFAULT_INSTALL that is neither True nor False", _SH
    ),
    warning(
        "contrail-default-install-grep",
        "CONTRAIL_DEFAULT_INSTALL is not alone on one plain line",
        "Juniper/contrail-installer@cfe0fc0:setup_devstack.sh",
    ),
    rule("contrail-service-host", "a SERVICE_HOST that no compute reaches", _SH),
    rule(
        "contrail-compute-host-ip",
        "a COMPUTE_HOST_IP that is missing, or not the vrouter's own",
        _SH,
    ),
    rule("contrail-control-ip", "a compute whose CONTROL_IP is itself", _SH),
    rule("contrail-timeout", "no SERVICE_TIMEOUT", _SH),
    rule("contrail-secret-missing", "no RABBIT_PASSWORD or SERVICE_TOKEN", _SH),
    rule(
        "contrail-secret-characters",
        "a secret of other characters than letters and digits",
        f"{_CONFIG}: check_replace_value",
    ),
    warning("contrail-logfile", "no LOGFILE", f"{_SH}: setup_logging"),
    rule("contrail-repo-proto", "sources by ssh", _SH),
    rule("contrail-lower-case", "a USE_CERTS or MULTI_TENANCY in capitals", f"{_CONFIG}"),
    rule("contrail-capital", "a USE_DISCOVERY in small letters", f"{_CONFIG}"),
    rule("contrail-gateway", "a software gateway that is half set, or on a compute", _SH),
    warning(
        "contrail-inert",
        "a variable that contrail.sh does not read, or overwrites",
        "localrc/releases.yaml: inert",
    ),
    rule("contrail-name", "a name that is nearly one of contrail.sh's", _SH),
    rule("contrail-list", "a list of more than one address", f"{_CONFIG}: check_replace_value"),
    rule(
        "contrail-interface",
        "a PHYSICAL_INTERFACE that is missing or not the node's",
        f"{_CONFIG}: check_dev",
    ),
    warning(
        "contrail-access-interface",
        "PHYSICAL_INTERFACE is the NIC that the host logs in by",
        f"{_CONFIG}",
    ),
)
_BOOK = Book(RULES)

_SECRETS = (
    "ADMIN_PASSWORD",
    "DATABASE_PASSWORD",
    "RABBIT_PASSWORD",
    "SERVICE_PASSWORD",
    "SERVICE_TOKEN",
)
_GATEWAY = ("CONTRAIL_VGW_INTERFACE", "CONTRAIL_VGW_PUBLIC_SUBNET", "CONTRAIL_VGW_PUBLIC_NETWORK")
_LISTS = (
    "CASSANDRA_IP_LIST",
    "RABBITMQ_IP_LIST",
    "KAFKA_IP_LIST",
    "COLLECTOR_IP_LIST",
    "CONTROL_IP_LIST",
    "DNS_IP_LIST",
)


def lint(source: Source, scope: Scope) -> Iterator[Finding]:
    """Every finding in a localrc of contrail-installer's."""
    rc = localrc.load(source, scope)
    yield from shell_rules.check(rc)
    if any(line.endswith("\r") for line in source.lines) or rc.script.unclosed:
        return
    for each in (
        _profile,
        _install,
        _grepped,
        _hosts,
        _required,
        _secrets,
        _words,
        _gateway,
        _names,
        _lists,
        _device,
    ):
        yield from each(rc)


def _is_compute(rc: Localrc) -> bool:
    return rc.value("INSTALL_PROFILE") == "COMPUTE"


def _profile(rc: Localrc) -> Iterator[Finding]:
    value = rc.value("INSTALL_PROFILE")
    if value in ("ALL", "COMPUTE") or (
        rc.is_set("INSTALL_PROFILE") and rc.values["INSTALL_PROFILE"] is None
    ):
        return
    what = f"{value} is neither ALL nor COMPUTE" if value else "INSTALL_PROFILE is not set"
    is_compute = value.upper().startswith("COMP") or rc.scope.is_controller is False
    yield _BOOK.finding(
        "contrail-profile",
        rc.file,
        rc.line("INSTALL_PROFILE"),
        f"{what}: contrail.sh installs nothing and ends with status 0, as if it had",
        f"INSTALL_PROFILE={'COMPUTE' if is_compute else 'ALL'}",
    )


def _install(rc: Localrc) -> Iterator[Finding]:
    name = "CONTRAIL_DEFAULT_INSTALL"
    value = rc.value(name)
    if value in ("True", "False"):
        return
    if not rc.is_set(name):
        effect = "unset it means one thing where the services are chosen (from source) and another later (packages)"
    else:
        effect = f"{value or 'nothing'} is not the word True, so all is built from source"
    yield _BOOK.finding(
        "contrail-default-install", rc.file, rc.line(name), effect, f"{name}=True or {name}=False"
    )


def _grepped(rc: Localrc) -> Iterator[Finding]:
    name = "CONTRAIL_DEFAULT_INSTALL"
    mentions = [number for number, line in enumerate(rc.lines, start=1) if name in line]
    if len(mentions) > 1:
        wrong = f"lines {', '.join(map(str, mentions))} mention it"
        line = next(number for number in mentions if number != rc.line(name))
    elif mentions and not re.fullmatch(rf"{name}=\w*", rc.lines[mentions[0] - 1]):
        wrong, line = "something stands beside name and value", mentions[0]
    else:
        return
    yield _BOOK.finding(
        "contrail-default-install-grep",
        rc.file,
        line,
        f"setup_devstack.sh greps for {name} and compares all that it finds with True: {wrong}",
        f"write {name}=True, unquoted, alone on the only line that names it",
    )


def _hosts(rc: Localrc) -> Iterator[Finding]:
    host, own = rc.value("SERVICE_HOST"), rc.value("COMPUTE_HOST_IP")
    is_multi_node = rc.scope.lab is not None and len(rc.scope.lab.nodes) > 1
    if not rc.is_set("SERVICE_HOST"):
        yield _BOOK.finding(
            "contrail-service-host",
            rc.file,
            0,
            "contrail.sh waits for http://:8082 and gives up: it has no default here",
            "SERVICE_HOST=ADDRESS of the controller",
        )
    elif is_loopback(host) and (_is_compute(rc) or is_multi_node):
        what = "this compute" if _is_compute(rc) else "every node to itself"
        yield _BOOK.finding(
            "contrail-service-host",
            rc.file,
            rc.line("SERVICE_HOST"),
            f"{host} is {what}: the vrouter is registered with an address that nobody else reaches",
            "SERVICE_HOST=ADDRESS of the controller",
        )
    release = rc.scope.release
    if not _is_compute(rc) or (release is not None and not release.text("registers_computes")):
        return
    if not rc.is_set("COMPUTE_HOST_IP") or is_loopback(own):
        yield _BOOK.finding(
            "contrail-compute-host-ip",
            rc.file,
            rc.line("COMPUTE_HOST_IP"),
            "this compute's vrouter is registered as 127.0.0.1, like every other one's: no tunnel ends at it",
            "COMPUTE_HOST_IP=ADDRESS of this node",
        )
    else:
        yield from _own_address(rc, own)
    if own and rc.value("CONTROL_IP") == own:
        yield _BOOK.finding(
            "contrail-control-ip",
            rc.file,
            rc.line("CONTROL_IP"),
            "the vrouter agent looks for its control node on this compute, where none runs",
            "CONTROL_IP=$SERVICE_HOST",
        )


def _own_address(rc: Localrc, own: str) -> Iterator[Finding]:
    """The vrouter's packets leave by PHYSICAL_INTERFACE: others send theirs to the address that is registered."""
    node, device = rc.scope.node, rc.value("PHYSICAL_INTERFACE")
    if node is None or not own or rc.address("COMPUTE_HOST_IP") is None:
        return
    here = {str(nic.address.ip): nic.device for nic in node.nics}
    wanted = next((ip for ip, name in here.items() if name == device), "")
    if own in here and (own == wanted or not wanted):
        return
    what = (
        f"{own} is {here[own]}'s, and the vrouter is on {device}"
        if own in here
        else f"{node.name} has no {own}"
    )
    yield _BOOK.finding(
        "contrail-compute-host-ip",
        rc.file,
        rc.line("COMPUTE_HOST_IP"),
        f"{what}: tunnels to this compute end where no vrouter takes them",
        f"COMPUTE_HOST_IP={wanted or ' or '.join(here)}",
    )


def _required(rc: Localrc) -> Iterator[Finding]:
    if not rc.value("SERVICE_TIMEOUT").isdigit():
        yield _BOOK.finding(
            "contrail-timeout",
            rc.file,
            rc.line("SERVICE_TIMEOUT"),
            '`timeout` gets no number of seconds and fails: "api-server did not start" without a wait',
            "SERVICE_TIMEOUT=600",
        )
    if not rc.is_set("LOGFILE"):
        yield _BOOK.finding(
            "contrail-logfile",
            rc.file,
            0,
            "all of contrail.sh's output is thrown away",
            "LOGFILE=$PWD/log/contrail.log",
        )
    proto, is_from_source = (
        rc.value("CONTRAIL_REPO_PROTO"),
        rc.value("CONTRAIL_DEFAULT_INSTALL") == "False",
    )
    if (proto == "ssh" or not rc.is_set("CONTRAIL_REPO_PROTO")) and (is_from_source or proto):
        yield _BOOK.finding(
            "contrail-repo-proto",
            rc.file,
            rc.line("CONTRAIL_REPO_PROTO"),
            "sources come by ssh from git@github.com, which needs a key of a GitHub account on this node",
            "CONTRAIL_REPO_PROTO=https",
        )


def _secrets(rc: Localrc) -> Iterator[Finding]:
    for name, effect in (
        ("RABBIT_PASSWORD", "the rabbit user is made without a password, and no service logs in"),
        ("SERVICE_TOKEN", "contrail.sh executes a random word where it means to print one"),
    ):
        is_needed = name == "SERVICE_TOKEN" or not _is_compute(rc)
        if is_needed and not rc.value(name) and (rc.values.get(name, "") is not None):
            yield _BOOK.finding(
                "contrail-secret-missing",
                rc.file,
                rc.line(name),
                f"{name} is not set: {effect}",
                f"{name}=...",
            )
    for name in _SECRETS:
        value = rc.values.get(name, "")
        each = rc.settled.get(name)
        names = each.value.names if each else ()
        is_expanded = value is None and any(used not in rc.values for used in names)
        if each and (is_expanded or re.search(r"[^A-Za-z0-9]", value or "")):
            yield _BOOK.finding(
                "contrail-secret-characters",
                rc.file,
                each.line,
                f"{name} goes unquoted through sed: what is not a letter or a digit is changed or cuts it short",
                "write letters and digits only",
            )


def _words(rc: Localrc) -> Iterator[Finding]:
    for name in ("USE_CERTS", "MULTI_TENANCY"):
        if rc.value(name) not in ("", "true", "false"):
            effect = (
                "contrail.sh runs it as a command, and only true and false are some"
                if name == "USE_CERTS"
                else ("it is written to files whose readers expect true or false")
            )
            yield _BOOK.finding(
                "contrail-lower-case",
                rc.file,
                rc.line(name),
                f"{name}={rc.value(name)}: {effect}",
                f"{name}={'false' if rc.value(name).lower()[:1] in 'fn0' else 'true'}",
            )
    for name in ("USE_DISCOVERY",):
        if rc.value(name) not in ("", "True", "False"):
            yield _BOOK.finding(
                "contrail-capital",
                rc.file,
                rc.line(name),
                f"{rc.value(name)} is not the word False, so discovery is used, whatever was meant",
                f"{name}={'False' if rc.value(name).lower()[:1] in 'fn0' else 'True'}",
            )


def _gateway(rc: Localrc) -> Iterator[Finding]:
    given = [name for name in _GATEWAY if rc.value(name)]
    if not given or any(rc.is_set(name) and rc.values[name] is None for name in _GATEWAY):
        return
    if _is_compute(rc):
        yield _BOOK.finding(
            "contrail-gateway",
            rc.file,
            rc.line(given[0]),
            "every compute would be a gateway for the same public network: answers come back by any of them",
            f"remove {', '.join(given)} from computes",
        )
    elif len(given) < len(_GATEWAY):
        missing = ", ".join(name for name in _GATEWAY if name not in given)
        yield _BOOK.finding(
            "contrail-gateway",
            rc.file,
            rc.line(given[0]),
            "contrail.sh makes no gateway unless all three are set, but its stop removes a route and an interface",
            f"set {missing} too, or none",
        )


def _names(rc: Localrc) -> Iterator[Finding]:
    inert = {
        name: why
        for name, why in (rc.scope.release.inert.items() if rc.scope.release else ())
        if why
    }
    used = {name for each in rc.script.assignments for name in each.value.names}
    nearest = Near(NAMES, cutoff=0.88)
    for name, each in rc.settled.items():
        if name in inert:
            yield _BOOK.finding(
                "contrail-inert",
                rc.file,
                each.line,
                f"{name} has no effect: {inert[name]}",
                "remove the line",
            )
        elif name not in NAMES | used and (near := nearest(name)):
            yield _BOOK.finding(
                "contrail-name",
                rc.file,
                each.line,
                f"contrail.sh reads no {name}: the line does nothing",
                f"{near}=...",
            )


def _lists(rc: Localrc) -> Iterator[Finding]:
    for name in _LISTS:
        if len(re.split(r"[\s,]+", rc.value(name).strip())) > 1:
            yield _BOOK.finding(
                "contrail-list",
                rc.file,
                rc.line(name),
                "only the first address arrives in the configuration: the others are lost on the way through sed",
                f"write one address into {name}: contrail-installer makes no cluster",
            )


def _device(rc: Localrc) -> Iterator[Finding]:
    name, value, node = "PHYSICAL_INTERFACE", rc.value("PHYSICAL_INTERFACE"), rc.scope.node
    if not value and rc.values.get(name, "") is not None:
        yield _BOOK.finding(
            "contrail-interface",
            rc.file,
            rc.line(name),
            "contrail.sh configure stops: the vrouter has no NIC to take over",
            f"{name}=eth1, the NIC with this node's address",
        )
    elif node is not None and value not in [nic.device for nic in node.nics]:
        known = ", ".join(f"{nic.device} on {nic.network}" for nic in node.nics)
        yield _BOOK.finding(
            "contrail-interface",
            rc.file,
            rc.line(name),
            f"{node.name} has no {value}: contrail.sh configure stops",
            f"{name}=DEVICE, one of: {known}",
        )
    elif node is not None and len(node.nics) > 1 and value == node.access.device:
        yield _BOOK.finding(
            "contrail-access-interface",
            rc.file,
            rc.line(name),
            f"the vrouter takes over {value}, by which the host logs in: it is cut off while the vrouter isn't up",
            f"{name}={' or '.join(nic.device for nic in node.nics if nic.device != node.access.device)}",
        )
