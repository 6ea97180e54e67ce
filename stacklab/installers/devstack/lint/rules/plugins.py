"""Rules for DevStack's enable_plugin."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.lint.book import Book, rule
from stacklab.lint.finding import Finding
from stacklab.lint.readers import shell
from stacklab.model.release import Release

_COMMON = "openstack/devstack@493835a:functions-common"
RULES = (
    rule("devstack-plugin-twice", "a plugin that is enabled twice", f"{_COMMON}: enable_plugin"),
    rule("devstack-plugin-url", "a plugin without its URL", f"{_COMMON}: enable_plugin"),
    rule(
        "devstack-plugin-retired",
        "a plugin whose repository is empty but for a README",
        "openstack/governance: reference/legacy.yaml; openstack/networking-ovn@0f98803f",
    ),
    rule(
        "devstack-plugin-release",
        "a plugin for a release without enable_plugin",
        "openstack/devstack@2c65e71a",
    ),
)
_BOOK = Book(RULES)

# Of DevStack's plugin registries, liberty-eol to 493835a, those that governance lists as legacy.
_RETIRED = frozenset(
    {
        "app-catalog-ui",
        "astara",
        "castellan-ui",
        "ceilometer-powervm",
        "congress",
        "cue",
        "devstack-plugin-pika",
        "devstack-plugin-zmq",
        "dragonflow",
        "ec2-api",
        "fuxi",
        "gnocchi",
        "karbor",
        "karbor-dashboard",
        "kuryr-kubernetes",
        "monasca-analytics",
        "monasca-api",
        "monasca-ceilometer",
        "monasca-events-api",
        "monasca-log-api",
        "monasca-transform",
        "murano",
        "networking-calico",
        "networking-hyperv",
        "networking-l2gw",
        "networking-midonet",
        "networking-ofagent",
        "networking-onos",
        "networking-ovn",
        "networking-powervm",
        "neutron-lbaas",
        "neutron-lbaas-dashboard",
        "nova-powervm",
        "panko",
        "qinling",
        "qinling-dashboard",
        "sahara",
        "sahara-dashboard",
        "searchlight",
        "searchlight-ui",
        "senlin",
        "solum",
        "tricircle",
        "venus",
        "venus-dashboard",
    }
)
# What does their work now.
_INSTEAD = {
    "gnocchi": "take it from https://github.com/gnocchixyz/gnocchi",
    "networking-calico": "take it from https://github.com/projectcalico/calico",
    "networking-l2gw": "take it from https://opendev.org/x/networking-l2gw",
    "networking-ovn": "remove the line: OVN is DevStack's own since Victoria",
}
# Plugins that do the work of retired ones, and are themselves alive.
_SUCCESSORS = {
    "neutron-lbaas": "octavia",
    "neutron-lbaas-dashboard": "octavia-dashboard",
}
# Plugins that were not OpenStack's own for long, and have other tags than its releases.
_OUTSIDE = frozenset({"tap-as-a-service"})
# Tags that have it, as far as they were looked up: release -> tag.
_EOL_OF_OVN = ("newton", "ocata", "pike", "queens", "rocky", "stein")
_EOL_OF_LBAAS = ("kilo", "liberty", "mitaka", "newton")
_EM_OF_LBAAS = ("ocata", "pike", "queens", "rocky")
_TAGS = {
    "networking-ovn": {name: f"{name}-eol" for name in _EOL_OF_OVN} | {"train": "train-em"},
    "neutron-lbaas": {name: f"{name}-eol" for name in _EOL_OF_LBAAS}
    | {name: f"{name}-em" for name in _EM_OF_LBAAS},
}
_HEADS = ("", "master", "main")
_OF_OPENSTACK = re.compile(
    r"(?:opendev\.org|openstack\.org|github\.com|GIT_BASE\}?)"
    r"[:/](?:p/)?openstack/(?P<name>[\w.-]+)$"
)


def check(rc: Localrc) -> Iterator[Finding]:
    """Yield the findings about plugins."""
    first_lines: dict[str, int] = {}
    release = rc.scope.release
    for call in rc.calls_of("enable_plugin"):
        if call.conditional:
            continue
        name = call.args[0].text if call.args else ""
        # Kilo's DevStack is the first with plugins.
        if release is not None and "plugins" not in release.options:
            yield _describe_unknown_function(rc, call, release)
        elif len(call.args) < 2:
            yield _describe_missing_url(rc, call, name)
        elif name in first_lines:
            yield _describe_second_call(rc, call, name, first_lines[name])
        else:
            yield from _check_retired(rc, call)
        first_lines.setdefault(name, call.line)


def _check_retired(rc: Localrc, call: shell.Call) -> Iterator[Finding]:
    """Yield a plugin whose head holds nothing; its branches and tags may be there still."""
    repository = _repository_at(call.args[1].text)
    ref = call.args[2].text if len(call.args) > 2 else ""
    if repository not in _RETIRED or ref not in _HEADS:
        return
    if call.args[1].text.startswith("git:"):
        return  # what can't be cloned has a rule of its own
    yield _BOOK.finding(
        "devstack-plugin-retired",
        rc.file,
        call.line,
        effect=f"stack.sh clones {repository}, which was retired and holds a README alone, and "
        "goes on without it",
        fix=_advise_on_retired(rc, call, repository),
    )


def _advise_on_retired(rc: Localrc, call: shell.Call, repository: str) -> str:
    """Return what to write: an old release's plugin is in a tag, and goes with nothing else."""
    release = rc.scope.release
    if release is None or _is_alive(release):
        if repository in _SUCCESSORS:
            return _enabling(_SUCCESSORS[repository])
        return _INSTEAD.get(repository, "write a branch or tag that has it, or remove the line")
    tag = _TAGS.get(repository, {}).get(release.name)
    if tag is not None:
        return f"enable_plugin {call.args[0].text} ... {tag}"
    return f"write its branch or tag of {release.name}, if there is one, or remove the line"


def _is_alive(release: Release) -> bool:
    """Return True for a release that still has a branch."""
    return release.ref.startswith(("stable/", "unmaintained/", "master"))


def _enabling(plugin: str) -> str:
    return f"enable_plugin {plugin} https://opendev.org/openstack/{plugin}"


def _repository_at(url: str) -> str:
    """Return the name of a repository of OpenStack's; "" for anybody else's."""
    match = _OF_OPENSTACK.search(url.rstrip("/").removesuffix(".git"))
    return match["name"] if match is not None else ""


def _tag_of(repository: str, release: str) -> str:
    """Return what a repository's branch of an ended release became: a tag, NAME-eol of most."""
    return _TAGS.get(repository, {}).get(release, f"{release}-eol")


def tag_at(url: str, release: str) -> str:
    """Return the same for the repository at a URL."""
    return _tag_of(_repository_at(url), release)


def is_retired(plugin: str) -> bool:
    """Return True for a plugin of OpenStack whose head holds nothing."""
    return plugin in _RETIRED


def advise_on_missing(rc: Localrc, service: str, plugin: str, release: Release) -> str:
    """Return what to write for a service whose plugin the file does not enable."""
    if not is_retired(plugin):
        # The head of today goes with no release that has ended.
        if _is_alive(release):
            return _enabling(plugin)
        if plugin in _OUTSIDE:
            return f"enable {plugin} at its branch or tag of {release.name}, or remove {service}"
        return f"{_enabling(plugin)} {_tag_of(plugin, release.name)}"
    if not _is_alive(release):
        tag = _TAGS.get(plugin, {}).get(release.name)
        if tag is not None:
            return f"{_enabling(plugin)} {tag}"
        return f"enable {plugin} at its branch or tag of {release.name}, or remove {service}"
    successor = _SUCCESSORS.get(plugin)
    if successor is None:
        instead = _INSTEAD.get(plugin, "take a branch or tag that has it")
        return f"remove {service}, or enable {plugin}: {instead}"
    if successor in rc.plugins:
        return f"remove {service}: {successor}, which this file enables, does its work"
    return f"remove {service}, and {_enabling(successor)}"


def _describe_unknown_function(rc: Localrc, call: shell.Call, release: Release) -> Finding:
    return _BOOK.finding(
        "devstack-plugin-release",
        rc.file,
        call.line,
        effect=f"DevStack {release.name} does not know enable_plugin, and the line does nothing",
        fix="take a release from Kilo on, or follow the plugin's own instructions for this one",
    )


def _describe_missing_url(rc: Localrc, call: shell.Call, name: str) -> Finding:
    word = name or "NAME"
    return _BOOK.finding(
        "devstack-plugin-url",
        rc.file,
        call.line,
        effect=f"cloning fails: the URL of the plugin {name or '?'} is missing",
        fix=f"enable_plugin {word} https://opendev.org/openstack/{word}",
    )


def _describe_second_call(rc: Localrc, call: shell.Call, name: str, first: int) -> Finding:
    release = rc.scope.release
    effect = f"stack.sh stops: line {first} enables {name} already"
    # DevStack refuses it since 21d84c29, which stable/newton has, too.
    if release and release.text("plugin_twice") == "replaces":
        effect = f"URL and branch of line {first} are lost, and every phase of {name} runs twice"
    return _BOOK.finding(
        "devstack-plugin-twice",
        rc.file,
        call.line,
        effect=effect,
        fix=f"remove line {call.line} or {first}",
    )
