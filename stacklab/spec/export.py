"""Lab <-> JSON: what the Vagrantfile, `lab.show --json` and a lab's record read."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path

from stacklab.errors import LabError
from stacklab.model.checks import CheckPolicy, CustomCheck, CustomKind
from stacklab.model.lab import NIC, NO_IMPAIRMENT, Impairment, Lab, Network, NetworkMode, Node, Size
from stacklab.model.stack import Role
from stacklab.spec import stack_export
from stacklab.spec.reader import JSON, Reader


def to_dict(lab: Lab) -> dict[str, JSON]:
    """Everything about the lab, ready for json.dumps, in a fixed order.

    What can be computed (netmask, host_address) is there too, so that no reader has to.
    """
    return {
        "name": lab.name,
        "description": lab.description,
        "source": str(lab.source),
        "images": list(lab.images),
        "networks": [_from_network(network) for network in lab.networks],
        "nodes": [_from_node(node) for node in lab.nodes],
        "stack": stack_export.from_stack(lab.stack),
        "checks": {
            "retries": lab.checks.retries,
            "interval_s": lab.checks.interval_s,
            "boot_timeout_s": lab.checks.boot_timeout_s,
            "custom": [_from_custom(check) for check in lab.checks.custom],
        },
    }


def _from_network(network: Network) -> dict[str, JSON]:
    return {
        "name": network.name,
        "cidr": str(network.cidr),
        "mode": str(network.mode),
        "mtu": network.mtu,
        "bridge": network.bridge,
        "host_address": str(network.host_address),
        "has_host": network.has_host,
    }


def _from_node(node: Node) -> dict[str, JSON]:
    return {
        "name": node.name,
        "role": str(node.role),
        "cpus": node.cpus,
        "memory_mib": node.memory.mib,
        "disk_mib": node.disk.mib,
        "nics": [_from_nic(nic) for nic in node.nics],
    }


def _from_nic(nic: NIC) -> dict[str, JSON]:
    return {
        "network": nic.network,
        "device": nic.device,
        "address": str(nic.address.ip),
        "prefix": nic.address.network.prefixlen,
        "netmask": str(nic.address.netmask),
        "mac": nic.mac,
        "mtu": nic.mtu,
        "impairment": {
            "delay_ms": nic.impairment.delay_ms,
            "loss_percent": nic.impairment.loss_percent,
            "rate_kbit": nic.impairment.rate_kbit,
        },
    }


def _from_custom(check: CustomCheck) -> dict[str, JSON]:
    return {
        "name": check.name,
        "kind": str(check.kind),
        "nodes": list(check.nodes),
        "command": check.command,
        "exit_code": check.exit_code,
        "host": check.host,
        "port": check.port,
        "url": check.url,
        "http_status": check.http_status,
        "text": check.text,
        "retries": check.retries,
        "interval_s": check.interval_s,
        "timeout_s": check.timeout_s,
        "is_warning": check.is_warning,
    }


def from_dict(mapping: Mapping[str, object]) -> Lab:
    """The lab that to_dict() was given; raises LabError when it is not such a mapping."""
    try:
        return _to_lab(Reader(mapping))
    except (KeyError, TypeError, ValueError) as error:
        raise LabError(f"not a resolved lab: {error}", hint="./invoke lab.list") from error


def _to_lab(read: Reader) -> Lab:
    checks = read.inner("checks")
    return Lab(
        name=read.text("name"),
        description=read.text("description"),
        source=Path(read.text("source")),
        images=tuple(str(image) for image in read.items("images")),
        networks=tuple(_to_network(network) for network in read.inners("networks")),
        nodes=tuple(_to_node(node) for node in read.inners("nodes")),
        stack=stack_export.to_stack(read.inner("stack")),
        checks=CheckPolicy(
            retries=checks.whole("retries"),
            interval_s=checks.number("interval_s"),
            boot_timeout_s=checks.number("boot_timeout_s"),
            custom=tuple(_to_custom(check) for check in checks.inners("custom"))
            if checks.has("custom")
            else (),
        ),
    )


def _to_network(read: Reader) -> Network:
    return Network(
        name=read.text("name"),
        cidr=IPv4Network(read.text("cidr")),
        mode=NetworkMode(read.text("mode")),
        mtu=read.whole("mtu"),
        bridge=read.text("bridge"),
        # Labs that were brought up by an earlier version have none of these keys.
        has_host=read.flag("has_host") if read.has("has_host") else True,
    )


def _to_node(read: Reader) -> Node:
    return Node(
        name=read.text("name"),
        role=Role(read.text("role")),
        cpus=read.whole("cpus"),
        memory=Size(read.whole("memory_mib")),
        disk=Size(read.whole("disk_mib")),
        nics=tuple(_to_nic(nic) for nic in read.inners("nics")),
    )


def _to_nic(read: Reader) -> NIC:
    return NIC(
        network=read.text("network"),
        device=read.text("device"),
        address=IPv4Interface((read.text("address"), read.whole("prefix"))),
        mac=read.text("mac"),
        mtu=read.whole("mtu"),
        impairment=_to_impairment(read.inner("impairment"))
        if read.has("impairment")
        else NO_IMPAIRMENT,
    )


def _to_impairment(read: Reader) -> Impairment:
    return Impairment(
        delay_ms=read.number("delay_ms"),
        loss_percent=read.number("loss_percent"),
        rate_kbit=read.whole("rate_kbit"),
    )


def _to_custom(read: Reader) -> CustomCheck:
    return CustomCheck(
        name=read.text("name"),
        kind=CustomKind(read.text("kind")),
        nodes=read.texts("nodes"),
        command=read.text("command"),
        exit_code=read.whole("exit_code"),
        host=read.text("host"),
        port=read.whole("port"),
        url=read.text("url"),
        http_status=read.whole("http_status"),
        text=read.text("text"),
        retries=read.whole("retries"),
        interval_s=read.number("interval_s"),
        timeout_s=read.number("timeout_s"),
        is_warning=read.flag("is_warning"),
    )
