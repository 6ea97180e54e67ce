"""Judge an ini file by its service's own option definitions.

It runs with the Python of the consumer `openstack`.

The argument names the service. Standard input: {"section": {"option": ["value", ...]}}. Standard
output: a list of what is wrong, each as [service, section, option, why]. Values are read by
oslo.config's own parser.
One service each: they register options of the same names when they are imported.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points

from oslo_config import cfg

# What each service's own sample file is made of, and the section whose options a section of any
# name takes.
NAMESPACES = {
    "nova": ("nova.conf",),
    "glance-api": ("glance.api", "glance.store", "glance.multi_store", "glance"),
    "neutron": (
        "neutron",
        "neutron.db",
        "neutron.base.agent",
        "neutron.extensions",
        "neutron.ml2.ovn",
        "nova.auth",
    ),
    "ml2": ("neutron.ml2", "neutron.ml2.ovn", "neutron.ml2.ovs.agent"),
    "cinder": ("cinder",),
}
SHARED = (
    "oslo.log",
    "oslo.messaging",
    "oslo.db",
    "oslo.concurrency",
    "oslo.policy",
    "oslo.cache",
    "oslo.middleware",
    "oslo.service.service",
    "oslo.service.wsgi",
    "oslo.service.sslutils",
    "oslo.limit",
    "oslo.privsep",
    "keystonemiddleware.auth_token",
)
ANY_SECTION = {"cinder": "backend_defaults"}

Ini = Mapping[str, Mapping[str, list[str]]]


def definitions(service: str) -> dict[str, dict[str, cfg.Opt]]:
    """Section -> name in a file -> option; a name that is on its way out is none."""
    found: dict[str, dict[str, cfg.Opt]] = {}
    points = {point.name: point for point in entry_points(group="oslo.config.opts")}
    for name in (*NAMESPACES[service], *SHARED):
        # Some import what is theirs alone, and tell of it on standard output.
        with contextlib.redirect_stdout(sys.stderr):
            listed = points[name].load()()
        for group, options in listed:
            section = group.name if isinstance(group, cfg.OptGroup) else group or "DEFAULT"
            for option in options:
                # The service's own word goes before that of a library that defines it too.
                for spelling in (option.name, option.dest):
                    found.setdefault(section, {}).setdefault(spelling, option)
    return found


def judge(service: str, ini: Ini) -> Iterator[tuple[str, str, str, str]]:
    """All that is wrong with one service's file."""
    known = definitions(service)
    text = io.StringIO()
    conf = cfg.ConfigOpts()
    for section, options in ini.items():
        text.write(f"[{section}]\n")
        taken = known.get(section) or known.get(ANY_SECTION.get(service, ""), {})
        if not taken:
            yield service, section, "", "no such section"
        for name, values in options.items():
            text.write("".join(f"{name} = {value}\n" for value in values))
            option = taken.get(name)
            if option is None:
                if taken:
                    yield service, section, name, "no such option"
                continue
            if option.deprecated_for_removal:
                yield service, section, name, "on its way out"
            if len(values) > 1 and not option.multi:
                yield service, section, name, "has one value"
            with contextlib.suppress(cfg.DuplicateOptError):
                conf.register_opt(option, group=None if section == "DEFAULT" else section)
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, f"{service}.conf")  # noqa: PTH118 - as the services do it
        with open(path, "w") as file:  # noqa: PTH123
            file.write(text.getvalue())
        conf(["--config-file", path], project=service, default_config_dirs=[])
        yield from _values(service, ini, conf)


def _values(service: str, ini: Ini, conf: cfg.ConfigOpts) -> Iterator[tuple[str, str, str, str]]:
    for section, options in ini.items():
        owner = conf if section == "DEFAULT" else getattr(conf, section.replace("-", "_"), None)
        for name in options:
            try:
                if owner is not None:
                    getattr(owner, name.replace("-", "_"))
            except cfg.NoSuchOptError:
                continue  # said above
            except (cfg.Error, ValueError) as error:
                yield service, section, name, str(error)


if __name__ == "__main__":
    json.dump([list(wrong) for wrong in judge(sys.argv[1], json.load(sys.stdin))], sys.stdout)
