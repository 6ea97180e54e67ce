"""Rules for the machines that an answer file names, and for their passwords."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stacklab.installers.packstack.keys import Key
from stacklab.installers.packstack.lint.ini import AnswerEntry
from stacklab.installers.packstack.lint.read import (
    HOSTS,
    PLACEHOLDER,
    AnswerFile,
    name_first,
    split_list,
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
        "PW_PLACEHOLDER where it is a password like any other",
        "packstack@26.0.0:packstack/installer/processors.py",
    ),
)
_BOOK = Book(RULES)


def check(reading: AnswerFile) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    yield from _check_host_lists(reading)
    yield from _check_left_out(reading)
    yield from _check_against_lab(reading)
    yield from _check_storage_host(reading)
    yield from _check_placeholders(reading)


def host_entries(reading: AnswerFile) -> Iterator[AnswerEntry]:
    """Yield entries that name machines, in the file's order, if their groups are read."""
    for entry, key in reading.plain_entries():
        # Of several entries for one key, Packstack reads one.
        is_deciding = entry is reading.deciding_entry(key.name)
        if is_deciding and entry.value and _takes_hosts(key):
            yield entry


def _takes_hosts(key: Key) -> bool:
    # The vCenter is a machine that Packstack does not log in to.
    return key.kind in ("host", "hosts", "ip") and key.name != "CONFIG_VCENTER_HOST"


def cloud_hosts(reading: AnswerFile) -> set[str]:
    """Return the machines of the cloud, as they are written."""
    hosts: set[str] = set()
    for entry in host_entries(reading):
        hosts.update(split_list(entry.value))
    return hosts


def _check_host_lists(reading: AnswerFile) -> Iterator[Finding]:
    """Yield lists where one host is taken, and localhost in a cloud of several."""
    # Alone, a machine may well be localhost to itself.
    has_several = len(cloud_hosts(reading)) > 1
    for entry in host_entries(reading):
        hosts = split_list(entry.value)
        key = reading.keys.get(entry.key)
        if len(hosts) > 1 and key is not None and key.kind == "host":
            yield _BOOK.finding(
                "packstack-one-host",
                reading.file,
                entry.line,
                effect=(
                    f"Packstack stops, because it takes {entry.value!r} for the name of one host"
                ),
                fix=f"{entry.key}={hosts[0]}",
            )
        if has_several:
            yield from _check_loopback(reading, entry)


def _check_loopback(reading: AnswerFile, entry: AnswerEntry) -> Iterator[Finding]:
    """Yield addresses that mean another machine on each machine that reads them."""
    for host in split_list(entry.value):
        if host != "localhost" and not host.startswith("127."):
            continue
        yield _BOOK.finding(
            "packstack-loopback",
            reading.file,
            entry.line,
            effect=(
                f"every machine looks for {entry.key} on itself: {host} is the machine itself on "
                "each"
            ),
            fix="write the machine's address on the network that they share",
        )


def _check_left_out(reading: AnswerFile) -> Iterator[Finding]:
    """Yield keys for hosts that are missing, at the first line that names a host."""
    # Alone, the machine that runs Packstack is the right default.
    if len(cloud_hosts(reading)) < 2:
        return
    first_entry = next(host_entries(reading))
    controller = reading.value_of_key("CONFIG_CONTROLLER_HOST").strip()
    for name in HOSTS:
        key = reading.keys.get(name)
        is_given = reading.deciding_entry(name) is not None
        if key is None or is_given or not reading.is_read(key):
            continue
        yield _BOOK.finding(
            "packstack-local-default",
            reading.file,
            first_entry.line,
            effect=(
                f"Packstack sets {name}, which is left out, to the address by which its own "
                "machine reaches the outside"
            ),
            fix=f"{name}={controller or 'ADDRESS'}",
        )


def _check_against_lab(reading: AnswerFile) -> Iterator[Finding]:
    """Yield hosts that are not nodes of the lab, and a controller that is not the lab's."""
    lab = reading.scope.lab
    if lab is None:
        return
    owners = _owners_of_addresses(lab)
    # A name will do as well as an address: nodes know each other's.
    known = {*owners, *(node.name for node in lab.nodes)}
    # Addresses are what the rendered file has, so they are what is proposed.
    shown = ", ".join(f"{ip} ({name})" for ip, name in owners.items())
    for entry in host_entries(reading):
        foreign = [host for host in split_list(entry.value) if host not in known]
        if foreign:
            yield _BOOK.finding(
                "packstack-foreign-host",
                reading.file,
                entry.line,
                effect=(
                    f"Packstack stops, because port 22 does not answer: {', '.join(foreign)} is "
                    f"not a node of lab {lab.name}"
                ),
                fix=f"write one of {shown}",
            )
    controller = reading.deciding_entry("CONFIG_CONTROLLER_HOST")
    if controller is not None and controller.value in known:
        yield from _check_controller(reading, lab, controller, owners)


def _owners_of_addresses(lab: Lab) -> Mapping[str, str]:
    """Return every address of a node, with the node's name."""
    owners: dict[str, str] = {}
    for node in lab.nodes:
        for nic in node.nics:
            owners[str(nic.address.ip)] = node.name
    return owners


def _check_controller(
    reading: AnswerFile, lab: Lab, controller: AnswerEntry, owners: Mapping[str, str]
) -> Iterator[Finding]:
    """Yield a finding if the services are put on another node than the lab's controller."""
    lab_controller = lab.controller
    own_addresses = [str(nic.address.ip) for nic in lab_controller.nics]
    if controller.value in (*own_addresses, lab_controller.name):
        return
    # As rendered: nodes reach each other on the stack's network.
    stack_nic = lab_controller.nic_on(lab.stack.network)
    right = stack_nic.address.ip if stack_nic else own_addresses[0]
    chosen = owners.get(controller.value, controller.value)
    yield _BOOK.finding(
        "packstack-controller",
        reading.file,
        controller.line,
        effect=(
            f"{controller.value} is {chosen}, but the lab expects the services on "
            f"{lab_controller.name}"
        ),
        fix=f"{controller.key}={right}",
    )


def _check_storage_host(reading: AnswerFile) -> Iterator[Finding]:
    """Yield a host for cinder's volumes that Packstack does not read."""
    storage_host = reading.given_value("CONFIG_STORAGE_HOST")
    # The plugin takes the controller unless the group of unsupported keys is read.
    if not storage_host or not reading.why_unread("UNSUPPORTED"):
        return
    controller = reading.deciding_entry("CONFIG_CONTROLLER_HOST")
    if controller is not None and controller.value != storage_host:
        yield _BOOK.finding(
            "packstack-storage-host",
            reading.file,
            reading.given["CONFIG_STORAGE_HOST"].line,
            effect=(
                f"Packstack puts cinder's volumes on the controller, {controller.value}, and does "
                "not read CONFIG_STORAGE_HOST"
            ),
            fix="CONFIG_UNSUPPORTED=y",
        )


def _check_placeholders(reading: AnswerFile) -> Iterator[Finding]:
    """Yield one finding for all passwords that become the word itself, at the first of them.

    Since Juno, Packstack makes up a password for each, and every generated file has them.
    """
    if not reading.is_before(PLACEHOLDER):
        return
    read_entries = [entry for entry, _key in reading.read_entries()]
    placeholders = [entry for entry in read_entries if entry.value == "PW_PLACEHOLDER"]
    if not placeholders:
        return
    names = name_first([entry.key for entry in placeholders])
    yield _BOOK.finding(
        "packstack-placeholder",
        reading.file,
        placeholders[0].line,
        effect=f"{names}: Packstack {reading.release} does not know placeholders, so that word "
        "becomes the password",
        fix="write a password",
    )
