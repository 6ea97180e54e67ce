"""Stack <-> JSON: a lab's `stack` with every question answered."""

from __future__ import annotations

import dataclasses
from ipaddress import IPv4Network

from stacklab.model.stack import (
    ConfigOption,
    Driver,
    Glance,
    Installer,
    Lines,
    Mirrors,
    NetworkingMode,
    Overcommit,
    Plugin,
    Proxy,
    SecretSource,
    Stack,
)
from stacklab.spec.reader import JSON, Reader


def from_stack(stack: Stack) -> dict[str, JSON]:
    """Everything about the stack, ready for json.dumps, in a fixed order; no secret is in it."""
    plain = _plain(stack)
    assert isinstance(plain, dict)
    return plain


def _plain(value: object) -> JSON:
    if dataclasses.is_dataclass(value):
        return {
            field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)


def to_stack(read: Reader) -> Stack:
    """The exact inverse; raises KeyError, TypeError or ValueError."""
    glance, mirrors, proxy = read.inner("glance"), read.inner("mirrors"), read.inner("proxy")
    return Stack(
        **{name: read.text(name) for name in _TEXTS},
        installer=Installer(read.text("installer")),
        network_mode=NetworkingMode(read.text("network_mode"))
        if read.has("network_mode")
        else None,
        driver=Driver(read.text("driver")),
        fixed_range=IPv4Network(read.text("fixed_range")) if read.has("fixed_range") else None,
        floating_range=IPv4Network(read.text("floating_range"))
        if read.has("floating_range")
        else None,
        overcommit=_overcommit(read.inner("overcommit")),
        glance=Glance(
            direct_copy=glance.flag("direct_copy"), url_schemes=glance.texts("url_schemes")
        ),
        volume_types=read.texts("volume_types"),
        plugins=tuple(
            Plugin(**_texts(each, "name", "url", "ref")) for each in read.inners("plugins")
        ),
        refs=_pairs(read, "refs"),
        lines=tuple(
            Lines(role=each.text("role"), lines=each.texts("lines"))
            for each in read.inners("lines")
        ),
        post_config=tuple(
            ConfigOption(**_texts(each, "role", "file", "section", "key", "value"))
            for each in read.inners("post_config")
        ),
        answers=_pairs(read, "answers"),
        mirrors=Mirrors(pip=mirrors.text("pip"), apt=mirrors.text("apt")),
        proxy=Proxy(
            http=proxy.text("http"), https=proxy.text("https"), no_proxy=proxy.texts("no_proxy")
        ),
        secrets=tuple(
            SecretSource(**_texts(each, "name", "env", "file")) for each in read.inners("secrets")
        ),
        dev_mode=read.texts("dev_mode"),
    )


_TEXTS = (
    "network",
    "api_network",
    "data_network",
    "external_network",
    "release",
    "devstack_branch",
    "git_base",
    "kolla_mode",
    "openstack",
)


def _texts(read: Reader, *names: str) -> dict[str, str]:
    return {name: read.text(name) for name in names}


def _overcommit(read: Reader) -> Overcommit:
    return Overcommit(
        **{name: read.number(name) for name in ("cpu", "ram", "disk") if read.has(name)}
    )


def _pairs(read: Reader, key: str) -> tuple[tuple[str, str], ...]:
    found = []
    for item in read.items(key):
        if not isinstance(item, list) or len(item) != 2:
            raise TypeError(f"{key} holds something that is no pair")
        found.append((str(item[0]), str(item[1])))
    return tuple(found)
