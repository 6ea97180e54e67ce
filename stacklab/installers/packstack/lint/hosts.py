"""Rules for the machines that an answer file names, and for their passwords."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stacklab.installers.packstack.lint.ini import AnswerEntry
from stacklab.installers.packstack.lint.read import (
    HOSTS,
    PLACEHOLDER,
    AnswerFile,
)
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding
from stacklab.model.lab import Lab

_PLUGINS = "packstack@26.0.0:packstack/plugins"
RULES = (
    warning(
        "packstack-local-default",
        "a host that is left out in a cloud of several",
        f"{_PLUGINS}: DEFAULT_VALUE",
    ),
    rule(
        "packstack-one-host",
        "a list where one host is taken",
        "packstack@26.0.0: validate_ssh, validate_multi_ssh",
    ),
    rule(
        "packstack-loopback",
        "localhost where there are several hosts",
        "packstack@26.0.0: force_ip",
    ),
    rule("packstack-foreign-host", "a host that is not a node of the lab", "the lab"),
    rule("packstack-controller", "a controller that is not the lab's", "the lab"),
    rule(
        "packstack-storage-host",
        "CONFIG_STORAGE_HOST without CONFIG_UNSUPPORTED",
        f"{_PLUGINS}/prescript_000.py",
    ),
    warning(
        "packstack-placeholder",
        "PW_PLACEHOLDER",
        "packstack@26.0.0:packstack/installer/processors.py",
    ),
)
_BOOK = Book(RULES)


def check(reading: AnswerFile) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    for rule_check in (_hosts, _left_out, _lab_hosts, _storage, _passwords):
        yield from rule_check(reading)


def host_entries(reading: AnswerFile) -> Iterator[AnswerEntry]:
    """Yield entries that name machines, in the file's order, if their groups are read."""
    for entry in reading.answers.general:
        key = reading.key(entry)
        if key and key.kind in ("host", "hosts", "ip") and key.name != "CONFIG_VCENTER_HOST":
            is_read = not reading.unmet(key.group) and entry is reading.entry(key.name)
            if entry.value and not entry.joined and is_read:
                yield entry


def addresses(entry: AnswerEntry) -> list[str]:
    """Return the machines that an entry names."""
    return [word.strip() for word in entry.value.split(",") if word.strip()]


def cloud_hosts(reading: AnswerFile) -> set[str]:
    """Return the machines of the cloud, as they are written."""
    return {host for entry in host_entries(reading) for host in addresses(entry)}


def _hosts(reading: AnswerFile) -> Iterator[Finding]:
    is_many = len(cloud_hosts(reading)) > 1
    for entry in host_entries(reading):
        key = reading.keys.get(entry.key)
        hosts = addresses(entry)
        if len(hosts) > 1 and key is not None and key.kind == "host":
            yield _BOOK.finding(
                "packstack-one-host",
                reading.file,
                entry.line,
                f"Packstack stops, because it takes {entry.value!r} for the name of one host",
                f"{entry.key}={hosts[0]}",
            )
        for host in hosts:
            if is_many and (host == "localhost" or host.startswith("127.")):
                yield _BOOK.finding(
                    "packstack-loopback",
                    reading.file,
                    entry.line,
                    f"every machine looks for {entry.key} on itself: {host} is the "
                    "machine itself on each",
                    "write the machine's address on the network that they share",
                )


def _left_out(reading: AnswerFile) -> Iterator[Finding]:
    if len(cloud_hosts(reading)) < 2:
        return
    first = next(host_entries(reading))
    controller = reading.value("CONFIG_CONTROLLER_HOST").strip()
    for name in HOSTS:
        key = reading.keys.get(name)
        if key is None or reading.entry(name) is not None or reading.unmet(key.group):
            continue
        yield _BOOK.finding(
            "packstack-local-default",
            reading.file,
            first.line,
            f"Packstack sets {name}, which is left out, to the address by which its own machine "
            f"reaches the outside",
            f"{name}={controller or 'ADDRESS'}",
        )


def _lab_hosts(reading: AnswerFile) -> Iterator[Finding]:
    lab = reading.scope.lab
    if lab is None:
        return
    owners = {str(nic.address.ip): node.name for node in lab.nodes for nic in node.nics}
    known = {*owners, *(node.name for node in lab.nodes)}
    shown = ", ".join(f"{ip} ({name})" for ip, name in owners.items())
    for entry in host_entries(reading):
        foreign = [host for host in addresses(entry) if host not in known]
        if foreign:
            yield _BOOK.finding(
                "packstack-foreign-host",
                reading.file,
                entry.line,
                f"Packstack stops, because port 22 does not answer: {', '.join(foreign)} is not "
                f"a node of lab {lab.name}",
                f"write one of {shown}",
            )
    controller = reading.entry("CONFIG_CONTROLLER_HOST")
    if controller is not None and controller.value in known:
        yield from _lab_controller(reading, lab, controller, owners)


def _lab_controller(
    reading: AnswerFile, lab: Lab, controller: AnswerEntry, owners: Mapping[str, str]
) -> Iterator[Finding]:
    """Yield a finding if the services are put on another node than the lab's controller."""
    own_addresses = [str(nic.address.ip) for nic in lab.controller.nics]
    if controller.value in (*own_addresses, lab.controller.name):
        return
    stack_nic = lab.controller.nic_on(lab.stack.network)
    right = stack_nic.address.ip if stack_nic else own_addresses[0]
    yield _BOOK.finding(
        "packstack-controller",
        reading.file,
        controller.line,
        f"{controller.value} is {owners.get(controller.value, controller.value)}, but the lab "
        f"expects the services on {lab.controller.name}",
        f"{controller.key}={right}",
    )


def _storage(reading: AnswerFile) -> Iterator[Finding]:
    entry = reading.given.get("CONFIG_STORAGE_HOST")
    if entry is None or not entry.value or not reading.unmet("UNSUPPORTED"):
        return
    controller = reading.entry("CONFIG_CONTROLLER_HOST")
    if controller is not None and controller.value != entry.value:
        yield _BOOK.finding(
            "packstack-storage-host",
            reading.file,
            entry.line,
            f"Packstack puts cinder's volumes on the controller, {controller.value}, and does not "
            f"read CONFIG_STORAGE_HOST",
            "CONFIG_UNSUPPORTED=y",
        )


def _passwords(reading: AnswerFile) -> Iterator[Finding]:
    left = [
        entry
        for entry in reading.answers.general
        if entry.value == "PW_PLACEHOLDER"
        and (key := reading.keys.get(entry.key))
        and not reading.unmet(key.group)
    ]
    if not left or reading.value("CONFIG_DEFAULT_PASSWORD"):
        return
    names = left[0].key + (f" and {len(left) - 1} more" if len(left) > 1 else "")
    effect = (
        f"{names}: Packstack makes up a password of its own for each, and writes it into this file"
    )
    if reading.table.is_before(reading.release, PLACEHOLDER):
        effect = (
            f"{names}: Packstack {reading.release} does not know placeholders, so "
            "that word becomes the password"
        )
    fix = "CONFIG_DEFAULT_PASSWORD=..., which stands for every PW_PLACEHOLDER"
    if "CONFIG_DEFAULT_PASSWORD" not in reading.keys:
        fix = "write a password"
    yield _BOOK.finding("packstack-placeholder", reading.file, left[0].line, effect, fix)
