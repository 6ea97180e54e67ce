"""Checks of layer `outside`: what a stack needs of the world is reached, or nothing of it is.

A node whose first NIC is on a network without a way out is closed. What nodes need is derived from
the spec and is a handful of places, "NAME:PORT"; the mirror of packages that the image
brought along is read on the node. What a node fails to reach is only its fault if the
host reaches it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from urllib.parse import urlsplit

from stacklab.checks.family import Facts, Tried
from stacklab.checks.impairments import ways
from stacklab.checks.result import Check, CheckKind, CheckResult, CheckStatus
from stacklab.installers.facts import remote_sources
from stacklab.installers.kit.sources import SourceKind
from stacklab.model.lab import Lab, NetworkMode, Node
from stacklab.model.stack import Mirrors
from stacklab.nodes.protocol import NOT_FOUND, TIMED_OUT, Answer, Part, is_number
from stacklab.tools import ssh

PACKAGES = "packages"  # subject of REACH: the mirror that the node's own sources name
DNS = "dns"  # subject of CLOSED: names of the outside are not known, either
_PORTS = {"http": 80, "https": 443, "git": 9418, "ssh": 22}
_LIMIT_S = (
    4  # of one connection; all of them together have longer, for a busy node takes seconds to begin
)
_BUSY_S = 8
_CONTROLS_MAX = 4  # of a closed node: places that it must not reach
DIALS = "outside.dials"  # the part
_MIRROR = "$name:$port"  # the mirror in the node's own sources, as its shell knows it

# bash connects without a program, and waits for as long as it takes: timeout(1) ends all of them at once.
_FUNCTIONS = """\
say() { printf "%s\\n" "$*"; }
dial() { say try "$2"; out=$( { exec 3<>"/dev/tcp/${2%:*}/${2##*:}"; } 2>&1 ); say "$1" "$2" $? "${out//$nl/ }"; }
look() {
  [ -n "$1" ] || return
  say try "$1"; out=$(getent ahostsv4 "$1" 2>&1); rc=$?; say dns "$1" $rc "${out//$nl/ }"; return $rc
}
nl="
"
"""
# The first line that names a mirror; a mirror's mirrorlist will do as well.
_FIND_PACKAGES = """\
shopt -s nullglob
re="^(deb|URIs:|baseurl|mirrorlist|metalink)[^#]*(https?)://([^/@ ]*@)?([^]/: []+)(:([0-9]+))?"
for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} /etc/yum.repos.d/*.repo; do
  while read -r line; do
    [[ $line =~ $re ]] || continue
    name=${BASH_REMATCH[4]} port=${BASH_REMATCH[6]}
    [ -n "$port" ] || { port=80; [ ${BASH_REMATCH[2]} = http ] || port=443; }
    break 2
  done <"$f"
done
if [ -n "$name" ]; then
  printf "%s\\n" "packages $name:$port"
  dial tcp "$name:$port" &
fi
"""


def expected(lab: Lab) -> Iterator[Check]:
    """See Family.expected."""
    for node in lab.nodes:
        wanted = places(lab, node)
        if not _is_open(lab, node):
            wanted = tuple(place for place in wanted if _is_inside(lab, place))
            yield Check(kind=CheckKind.CLOSED, node=node.name)
            yield Check(kind=CheckKind.CLOSED, node=node.name, subject=DNS)
        elif any(place == PACKAGES or not _is_address(name_of(place)) for place in wanted):
            yield Check(kind=CheckKind.DNS, node=node.name)
        yield from (Check(kind=CheckKind.REACH, node=node.name, subject=place) for place in wanted)


def places(lab: Lab, node: Node) -> tuple[str, ...]:
    """What a node needs of the outside, each once: PACKAGES or "NAME:PORT", the proxy where it goes by one."""
    apt, proxy = lab.stack.mirrors.apt, lab.stack.proxy.http
    found = [_way(lab, apt) if apt else place_of(proxy) if proxy else PACKAGES]
    found += [_way(lab, source.url) for source in remote_sources(lab, node)]
    return tuple(dict.fromkeys(filter(None, found)))


def _way(lab: Lab, url: str) -> str:
    """The place that a node connects to for a URL: the proxy, if the lab has one and the URL is not excepted."""
    proxy = lab.stack.proxy
    through = proxy.http if urlsplit(url).scheme == "http" else proxy.https or proxy.http
    return place_of(through if through and not _is_direct(lab, url) else url)


def _is_direct(lab: Lab, url: str) -> bool:
    name = urlsplit(url).hostname or ""
    return any(
        name == each.lstrip(".") or name.endswith(f".{each.lstrip('.')}")
        for each in lab.stack.proxy.no_proxy
    )


def place_of(url: str) -> str:
    """NAME:PORT of a URL; "" where it names none."""
    parts = urlsplit(url)
    try:
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return ""
    return f"{parts.hostname}:{port}" if parts.hostname and port else ""


def name_of(place: str) -> str:
    """The NAME, or the address, of "NAME:PORT"."""
    return place.rpartition(":")[0]


def instead(lab: Lab, mirrors: Mirrors) -> Mapping[str, str]:
    """Which places nodes do not go to, since they were given the host's own mirrors, and where they go instead."""
    found = {}
    for node in lab.nodes:
        for source in remote_sources(lab, node):
            kind, url = source.kind, source.url
            if kind is SourceKind.PIP and mirrors.pip and not lab.stack.mirrors.pip:
                found[_way(lab, url)] = _way(lab, mirrors.pip)
            if kind is SourceKind.GIT:
                fitting = [(old, new) for new, old in mirrors.git if f"{url}/".startswith(old)]
                if fitting:  # git takes the longest
                    found[_way(lab, url)] = _way(
                        lab, max(fitting, key=lambda each: len(each[0]))[1]
                    )
    return {old: new for old, new in found.items() if old and new}


def controls(lab: Lab, facts: Facts) -> dict[str, Tried]:
    """Places outside that the host reaches, by "ADDRESS:PORT": what is closed in must not reach them."""
    found = {
        f"{tried.address}:{place.rpartition(':')[2]}": tried
        for place, tried in facts.tried.items()
        if tried.is_open and tried.address and not _is_inside(lab, f"{tried.address}:0")
    }
    return dict(list(found.items())[:_CONTROLS_MAX])


def _known_names(facts: Facts) -> list[str]:
    names = (name_of(place) for place, tried in facts.tried.items() if tried.address)
    return [name for name in dict.fromkeys(names) if not _is_address(name)][:2]


def parts(lab: Lab, node: Node, checks: Sequence[Check], facts: Facts) -> Iterator[Part]:
    """See Family.parts."""
    lines: list[str] = []
    kinds = {(check.kind, check.subject) for check in checks}
    for check in checks:
        match check.kind, check.subject:
            case CheckKind.CLOSED, subject if subject == DNS:
                lines += [f"look {shlex.quote(name)} &" for name in _known_names(facts)]
            case CheckKind.CLOSED, _:
                lines += [f"dial closed {shlex.quote(place)} &" for place in controls(lab, facts)]
            case CheckKind.DNS, _:
                # one that is known is enough: each costs a process
                names = _names(lab, node, facts, _MIRROR if PACKAGES in places(lab, node) else "")
                lines += (
                    [" || ".join(f"look {_quoted(name)}" for name in names) + " &"] if names else []
                )
            case CheckKind.REACH, subject if subject != PACKAGES:
                lines.append(f"dial tcp {shlex.quote(facts.instead.get(subject, subject))} &")
    has_mirror = PACKAGES in places(lab, node) and kinds & {
        (CheckKind.REACH, PACKAGES),
        (CheckKind.DNS, ""),
    }
    find = _FIND_PACKAGES if has_mirror else ""
    if lines or find:
        script = "\n".join([_FUNCTIONS + find, *lines, "wait"])
        limit = _LIMIT_S + ways.slower_s(lab) + (0 if _has_silent(checks, facts) else _BUSY_S)
        yield Part(
            tag=DIALS, shell=f"timeout {limit} bash -c {shlex.quote(script)}", limit_s=limit + 4.0
        )


def _quoted(name: str) -> str:
    return '"$name"' if name == name_of(_MIRROR) else shlex.quote(name)


def _has_silent(checks: Sequence[Check], facts: Facts) -> bool:
    """Whether some silence is waited for till the end: of what does not answer the host, or must not do so here."""
    if any(check.kind is CheckKind.CLOSED for check in checks):
        return True
    places = (
        facts.instead.get(check.subject, check.subject)
        for check in checks
        if check.kind is CheckKind.REACH
    )
    return any(
        (tried := facts.tried.get(place)) and tried.why_not == "timed out" for place in places
    )


def _names(lab: Lab, node: Node, facts: Facts, mirror: str) -> dict[str, str]:
    """What a node has to know by name, each with its place: first what the host knows, then the mirror."""
    found: list[tuple[int, str]] = [(1, mirror)] if mirror else []
    for wanted in places(lab, node):
        place = facts.instead.get(wanted, wanted)
        if place != PACKAGES and not _is_address(name_of(place)):
            found.append((0 if (tried := facts.tried.get(place)) and tried.address else 2, place))
    names: dict[str, str] = {}
    for _, place in sorted(found, key=lambda each: each[0]):
        names.setdefault(name_of(place), place)
    return names


@dataclass(slots=True)
class _Heard:
    """A node's lines, taken apart."""

    packages: str = ""
    begun: set[str] = field(default_factory=set)  # what was tried at least, whatever came of it
    tcp: dict[str, tuple[int, str]] = field(default_factory=dict)
    closed: dict[str, tuple[int, str]] = field(default_factory=dict)
    dns: dict[str, tuple[int, str]] = field(default_factory=dict)


def _hear(lines: Sequence[str]) -> _Heard:
    heard = _Heard()
    for line in lines:
        word, _, rest = line.partition(" ")
        place, _, said = rest.partition(" ")
        code, _, text = said.partition(" ")
        if word == PACKAGES:
            heard.packages = place
        elif word == "try":
            heard.begun.add(place)
        elif word in ("tcp", "closed", "dns") and is_number(code):
            {"tcp": heard.tcp, "closed": heard.closed, "dns": heard.dns}[word][place] = (
                int(code),
                text.strip(),
            )
    return heard


def judge(lab: Lab, checks: Sequence[Check], answer: Answer, facts: Facts) -> Iterator[CheckResult]:
    """See Family.judge."""
    said = answer.of(DIALS)
    heard = _hear(said.lines)
    for check in checks:
        if check.kind is CheckKind.CLOSED and not (
            _known_names(facts) if check.subject == DNS else controls(lab, facts)
        ):
            detail = "nothing outside answers the host either: nothing is proved"
            yield CheckResult(check=check, status=CheckStatus.WARNED, detail=detail)
        elif said.code is None:
            yield CheckResult(check=check, status=CheckStatus.ERROR, detail=answer.missing(DIALS))
        elif said.code not in (0, TIMED_OUT):
            what = (
                "bash or timeout is not installed"
                if said.code == NOT_FOUND
                else f"bash ended with {said.code}"
            )
            detail = f"{what} on {check.node}"
            yield CheckResult(
                check=check, status=CheckStatus.ERROR, detail=detail, output=said.text
            )
        elif not _is_tried(lab, check, heard, facts, said.code):
            is_late = said.code == TIMED_OUT
            detail = (
                f"{check.node} was too busy: it had no time to try"
                if is_late
                else "its answer is broken"
            )
            yield CheckResult(check=check, status=CheckStatus.ERROR, detail=detail)
        elif check.kind is CheckKind.REACH:
            yield _judge_reach(check, heard, facts)
        elif check.kind is CheckKind.DNS:
            yield _judge_dns(lab, check, heard, facts)
        else:
            yield _judge_closed(check, heard)


def _is_tried(lab: Lab, check: Check, heard: _Heard, facts: Facts, code: int) -> bool:
    """Whether a check's silence says something: what was never tried has no answer, either.

    When the time was over, what was begun counts as tried; else all of it has ended and said how.
    """
    is_late = code == TIMED_OUT
    tried = heard.begun if is_late else {*heard.tcp, *heard.closed, *heard.dns}
    match check.kind, check.subject:
        case CheckKind.REACH, subject if subject == PACKAGES:
            return heard.packages in tried or not (heard.packages or is_late)
        case CheckKind.REACH, subject:
            return facts.instead.get(subject, subject) in tried
        case CheckKind.CLOSED, subject if subject == DNS:
            return tried.issuperset(_known_names(facts))
        case CheckKind.CLOSED, _:
            return tried.issuperset(controls(lab, facts))
        case _:
            names = _names(lab, lab.node(check.node), facts, heard.packages)
            return not tried.isdisjoint(names) or not (names or is_late)


def _judge_reach(check: Check, heard: _Heard, facts: Facts) -> CheckResult:
    place = (
        heard.packages
        if check.subject == PACKAGES
        else facts.instead.get(check.subject, check.subject)
    )
    if not place:
        detail = "its sources name no mirror of packages"
        return CheckResult(
            check=check, status=CheckStatus.WARNED, detail=detail, command="apt-cache policy"
        )
    code, text = heard.tcp.get(place, (TIMED_OUT, ""))
    if code == 0:
        return CheckResult(check=check, status=CheckStatus.PASSED, detail=f"{place} answers")
    command = dial_line(place)
    why = "timed out" if code == TIMED_OUT else ssh.classify(text) or f"no connection: {text[:80]}"
    host = facts.of(place)
    if host is not None and host.is_open:
        detail = f"{place}, which the host reaches: {why}"
        return CheckResult(
            check=check, status=CheckStatus.FAILED, detail=detail, command=command, output=text
        )
    at_host = host.why_not if host else "did not try"
    detail = f"neither the host ({at_host}) nor {check.node} ({why}) reaches {place}"
    return CheckResult(
        check=check, status=CheckStatus.WARNED, detail=detail, command=command, output=text
    )


def dial_line(place: str) -> str:
    """What to type on a node to try one place again."""
    inner = f"exec 3<>/dev/tcp/{name_of(place)}/{place.rpartition(':')[2]}"
    return f"timeout {_LIMIT_S} bash -c {shlex.quote(inner)}"


def _judge_dns(lab: Lab, check: Check, heard: _Heard, facts: Facts) -> CheckResult:
    asked = _names(lab, lab.node(check.node), facts, heard.packages)

    def ended(status: CheckStatus, detail: str, name: str = "") -> CheckResult:
        command = f"getent ahostsv4 {shlex.quote(name)}" if name else ""
        return CheckResult(check=check, status=status, detail=detail, command=command)

    for name in asked:
        code, text = heard.dns.get(name, (TIMED_OUT, ""))
        if code == 0:
            return ended(CheckStatus.PASSED, f"{name} is {text.partition(' ')[0]}")
    if not asked:
        return ended(CheckStatus.WARNED, "there is no name to ask for")
    hosts = {name: tried for name, place in asked.items() if (tried := facts.of(place))}
    known = next((name for name, tried in hosts.items() if tried.address), "")
    if known:
        why = "not known" if known in heard.dns else "no answer"
        return ended(CheckStatus.FAILED, f"{known}, which the host knows: {why}", known)
    whose = "the host" if hosts else "the host (did not try)"
    return ended(
        CheckStatus.WARNED,
        f"neither {whose} nor {check.node} knows {', '.join(asked)}",
        next(iter(asked)),
    )


def _judge_closed(check: Check, heard: _Heard) -> CheckResult:
    if check.subject == DNS:
        known = [
            f"{name} is {text.partition(' ')[0]}"
            for name, (code, text) in heard.dns.items()
            if code == 0
        ]
        lines = [
            f"getent ahostsv4 {shlex.quote(name)}"
            for name, (code, _) in heard.dns.items()
            if code == 0
        ]
    else:
        known = [f"{place} answers" for place, (code, _) in heard.closed.items() if code == 0]
        lines = [dial_line(place) for place, (code, _) in heard.closed.items() if code == 0]
    if known:
        detail = f"it is not: {', '.join(known)}"
        return CheckResult(check=check, status=CheckStatus.FAILED, detail=detail, command=lines[0])
    detail = "knows no name outside" if check.subject == DNS else "reaches nothing outside"
    return CheckResult(check=check, status=CheckStatus.PASSED, detail=detail)


def _is_open(lab: Lab, node: Node) -> bool:
    """Whether it has a way out: its default route is the first NIC's (seed), or there is none."""
    return lab.network(node.access.network).mode is not NetworkMode.ISOLATED


def _is_inside(lab: Lab, place: str) -> bool:
    """Whether a place is on a network of the lab's own: the host's address there, say, with a mirror behind it."""
    name = name_of(place)
    return _is_address(name) and any(IPv4Address(name) in network.cidr for network in lab.networks)


def _is_address(name: str) -> bool:
    try:
        IPv4Address(name)
    except ValueError:
        return False
    return True
