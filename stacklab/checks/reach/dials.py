"""The part by which a node tries the world outside, and the reader of its lines."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from stacklab.checks.reach import outside_places
from stacklab.checks.reach.outside_places import PACKAGES
from stacklab.nodes.protocol import Part

DIALS = "outside.dials"  # the part
# One connection's time. All together have longer: a busy node takes seconds to begin.
LIMIT_S = 4
_BUSY_S = 8
MIRROR = "$name:$port"  # the mirror in the node's own sources, as its shell knows it

# bash connects without a program and waits for as long as it takes: timeout(1) ends all of them.
_FUNCTIONS = """\
say() { printf "%s\\n" "$*"; }
dial() {
  say try "$2"
  out=$( { exec 3<>"/dev/tcp/${2%:*}/${2##*:}"; } 2>&1 ); say "$1" "$2" $? "${out//$nl/ }"
}
look() {
  [ -n "$1" ] || return
  say try "$1"
  out=$(getent ahostsv4 "$1" 2>&1); rc=$?
  say dns "$1" $rc "${out//$nl/ }"
  return $rc
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


def dial_line(word: str, place: str) -> str:
    """Return a line of the script that connects to a place; `word` begins the node's answer."""
    return f"dial {word} {shlex.quote(place)} &"


def look_line(names: Sequence[str]) -> str:
    """Return a line of the script that looks names up until one is known."""
    return " || ".join(f"look {_quoted_name(name)}" for name in names) + " &"


def _quoted_name(name: str) -> str:
    """Return a name for the script; the mirror's is in a variable, and must stay one."""
    if name == outside_places.name_of(MIRROR):
        return '"$name"'
    return shlex.quote(name)


def dial_part(lines: Sequence[str], *, has_mirror: bool, has_silent: bool, slower_s: int) -> Part:
    """Return the part that runs these lines, and finds the node's mirror if it needs one.

    Where some silence is waited for till the end anyway, the part does not wait for a busy
    node as well.
    """
    script_lines = [_FUNCTIONS, *lines, "wait"]
    if has_mirror:
        # The mirror's name must be known before a line that looks it up.
        script_lines[0] += _FIND_PACKAGES
    script = "\n".join(script_lines)
    limit_s = LIMIT_S + slower_s
    if not has_silent:
        limit_s += _BUSY_S
    shell = f"timeout {limit_s} bash -c {shlex.quote(script)}"
    # The node's own timeout ends it first: then its code says that the time was over.
    return Part(tag=DIALS, shell=shell, limit_s=limit_s + 4.0)


def retry_line(place: str) -> str:
    """Return what to type on a node to try one place again."""
    name, _, port = place.rpartition(":")
    connect = f"exec 3<>/dev/tcp/{name}/{port}"
    return f"timeout {LIMIT_S} bash -c {shlex.quote(connect)}"


@dataclass(slots=True)
class DialAnswers:
    """A node's lines, taken apart; exit code and words are by place, or by name."""

    packages: str = ""  # the mirror that the node's sources name
    begun: set[str] = field(default_factory=set)  # what was tried at least, whatever came of it
    tcp: dict[str, tuple[int, str]] = field(default_factory=dict)
    closed: dict[str, tuple[int, str]] = field(default_factory=dict)
    dns: dict[str, tuple[int, str]] = field(default_factory=dict)

    def tried_places(self, *, is_late: bool) -> set[str]:
        """Return what counts as tried: all that was begun, if the time was over before the end."""
        if is_late:
            return self.begun
        return {*self.tcp, *self.closed, *self.dns}


def read_dials(lines: Sequence[str]) -> DialAnswers:
    """Take a node's lines apart; never raises, whatever it is given."""
    answers = DialAnswers()
    by_word = {"tcp": answers.tcp, "closed": answers.closed, "dns": answers.dns}
    for line in lines:
        word, _, rest = line.partition(" ")
        place, _, ending = rest.partition(" ")
        code, _, text = ending.partition(" ")
        if word == PACKAGES:
            answers.packages = place
        elif word == "try":
            answers.begun.add(place)
        elif word in by_word and code.isascii() and code.isdigit():
            by_word[word][place] = int(code), text.strip()
    return answers
