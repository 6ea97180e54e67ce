"""DevStack's local.conf, in our own words: what is localrc, and what post-config does to a file.

None of DevStack's code is here. What it does was seen by running it (functions, lib/config,
inc/meta-config, inc/ini-config) at the commits below, and this model was held against it with
made-up files until they agreed.
Where a shell is at work there (a sourced localrc, `read` and `eval`), a real bash is at work here.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stacklab.installers.kit.templates.quoting import Trap

# Names as in DevStack's own directory, where its bash looks for what a pattern may stand for.
NAMES = (
    "HACKING.rst",
    "LICENSE",
    "data",
    "files",
    "functions",
    "inc",
    "lib",
    "local.conf",
    "openrc",
    "stack.sh",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripts:
    """What DevStack's scripts of one time do."""

    commit: str
    traps: frozenset[Trap]
    header: str = r"\[\[.+\|.*\]\]"
    forgets_the_next: bool = (
        False  # a header that ends the section looked for is not looked at itself
    )
    reads_indented: bool = False
    touches: bool = True  # a file is there afterwards, whether or not options are
    clears: bool = True  # a key that is given twice takes the place of what was there
    undefined: str = (
        "stop"  # a file's variable that is not set: skip the file, stop the group, or die
    )
    no_directory: str = "make"  # ... or skip the file, or die

    @property
    def is_first(self) -> bool:
        """Whether each line is an iniset of its own, in the order of the lines."""
        return Trap.EQUALS in self.traps


def _scripts(commit: str, *traps: Trap, **more: object) -> Scripts:
    return Scripts(commit=commit, traps=frozenset(traps), **more)  # type: ignore[arg-type]


_OLD = {"forgets_the_next": True, "touches": False, "undefined": "skip", "no_directory": "skip"}
SCRIPTS = {
    "havana": _scripts(
        "7700b6d",
        Trap.SED,
        Trap.BAR,
        Trap.EQUALS,
        **_OLD | {"header": r"\[\[.+|.*\]\]", "reads_indented": True},
    ),
    "icehouse": _scripts("99d1553", Trap.SED, Trap.EQUALS, **_OLD),
    "juno": _scripts("97d6131", Trap.SED, **_OLD, clears=False),
    "kilo": _scripts("90cdb7a", Trap.SED, **_OLD),
    "liberty": _scripts("3ba12eb", Trap.SED, **_OLD | {"touches": True}),
    "mitaka": _scripts(
        "c9cebeb", Trap.SED, forgets_the_next=True, undefined="die", no_directory="die"
    ),
    "newton": _scripts("47a7f24", Trap.SED, undefined="die", no_directory="die"),
    "ocata": _scripts("0c021da", Trap.SED, no_directory="die"),  # to yoga
    "2025.1": _scripts("bb69299", Trap.WORDS, Trap.BACKSLASH, no_directory="die"),  # from zed
    "2025.2": _scripts("92e864a", Trap.WORDS, no_directory="die"),
    "2026.1": _scripts("da2f4d7", Trap.WORDS),
    "master": _scripts("493835a", Trap.WORDS),
}


class Died(Exception):
    """stack.sh ends with an error."""


@dataclass(slots=True)
class Machine:
    """What a merge changes: ini files by their path, and directories.

    Variables as stack.sh has set them.
    """

    variables: Mapping[str, str]
    files: dict[str, str] = field(default_factory=dict)
    directories: set[str] = field(default_factory=set)


def localrc(text: str, scripts: Scripts) -> str | None:
    """The lines that stack.sh sources of a local.conf; None where it finds no such section."""
    if "localrc" not in files_of(text, "local"):
        return None
    return "".join(f"{line}\n" for line in lines_of(text, "local", "localrc", scripts))


def files_of(text: str, group: str) -> list[str]:
    """The files that a group has sections for, as they are written."""
    marks = (_mark(line) for line in _lines(text) if re.match(r"\[\[.+\|.*\]\]", line))
    return [found[1] for found in marks if found[0] == group]


def lines_of(text: str, group: str, file: str, scripts: Scripts) -> Iterator[str]:
    """The lines of all sections of one group and file."""
    inside = False
    for line in _lines(text):
        if not re.search(rf"^{scripts.header}", line):
            if inside:
                yield line
        else:
            is_looked_at = not (inside and scripts.forgets_the_next)
            inside = is_looked_at and _mark(line) == (group, file)


def merge(text: str, group: str, machine: Machine, scripts: Scripts) -> None:
    """Do what stack.sh does in one phase; raises Died."""
    for file in files_of(text, group):
        path = _run(f'eval "printf %s {file}"', machine)
        if not path:
            if scripts.undefined == "die":
                raise Died(f"{file} is undefined")
            if scripts.undefined == "stop":
                break
            continue
        directory = str(Path(path).parent)
        if directory not in machine.directories:
            if scripts.no_directory == "die":
                raise Died(f"{directory} does not exist")
            if scripts.no_directory == "skip":
                continue
            machine.directories.add(directory)
        if scripts.touches:
            machine.files.setdefault(path, "")
        _apply(
            list(_commands(list(lines_of(text, group, file, scripts)), file, scripts)),
            machine,
            scripts,
        )


def options(ini: str) -> dict[str, dict[str, list[str]]]:
    """Section -> option -> values, of an ini file as the merges leave it."""
    found: dict[str, dict[str, list[str]]] = {}
    section = ""
    for line in _lines(ini):
        if match := re.match(r"\[(.*)\]", line):
            section = match[1]
        elif "=" in line:
            key, _, value = line.partition("=")
            found.setdefault(section, {}).setdefault(key.strip(), []).append(value.strip(" \t"))
    return found


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")


def _mark(header: str) -> tuple[str, str]:
    """Group and file of a header: of its first word alone, whatever else is on the line."""
    word = re.split(r"[ \t]+", header.lstrip(" \t"))[0]
    parts = re.sub(r"[][]", "", word).split("|")
    return parts[0], parts[1] if len(parts) > 1 else ""


def _commands(lines: list[str], file: str, scripts: Scripts) -> Iterator[str]:
    """Lines of bash that stand for a section's options."""
    groups: list[tuple[str, list[str]]] = []
    values: dict[tuple[str, str], list[str]] = {}
    for section, line in _in_sections(lines, scripts):
        if scripts.is_first:
            key, value = ([*re.split(r" *= *", line), ""])[:2]
            yield f'iniset {file} {section} {key} "{value}"'
            continue
        if not section:
            continue  # lost: options need a section
        key, equals, value = line.partition("=")
        key, value = (key.rstrip(" \t"), value.strip(" \t")) if equals else ("", line.strip(" \t"))
        if (section, key) not in values:
            if not groups or groups[-1][0] != section:
                groups.append((section, []))
            groups[-1][1].append(key)
        values.setdefault((section, key), []).append(value)
    for section, keys in groups:
        for key in reversed(
            keys
        ):  # each is put right below the section's header: the first one comes last
            place = f"{file} {section} {key}"
            given = values[section, key]
            if len(given) > 1 and scripts.clears:
                yield f"inidelete {place}"
            yield f'iniset {place} "{given[-1]}"'
            for value in reversed(given[:-1]):
                yield f'iniadd_literal {place} "{value}"'


def _in_sections(lines: list[str], scripts: Scripts) -> Iterator[tuple[str, str]]:
    section = ""
    for line in lines:
        if re.match(r"\[.+\]", line):
            section = re.sub(r"[][]", "", re.split(r"[ \t]+", line)[0])
        elif (
            line and not re.match(r" *#", line) and (scripts.reads_indented or line[0] not in " \t")
        ):
            yield section, line


# Each command as its words, and its value once more as `echo $value` gives it back.
_TELL = r"""
tell() {
local IFS=$' \t\n' n; printf '%s\0' "$1" "${@:2:4}"
for ((n = $#; n < 5; n++)); do printf '\0'; done
         printf '%s\0' "$(echo $5)"; }
iniset() { tell iniset "$@"; }; inidelete() { tell inidelete "$@"; }
iniadd_literal() { tell iniadd_literal "$@"; }
while read a; do eval "$a"; done
"""


def _apply(commands: list[str], machine: Machine, scripts: Scripts) -> None:
    words = _run(_TELL, machine, "".join(f"{command}\n" for command in commands)).split("\0")[:-1]
    for at in range(0, len(words), 6):
        what, path, section, key, value, echoed = words[at : at + 6]
        if not (section and key):
            continue
        lines = _lines(machine.files.setdefault(path, ""))
        if what == "inidelete":
            lines = [
                line
                for number, line in enumerate(lines)
                if number not in _found(lines, section, key)
            ]
        elif what == "iniadd_literal":
            _add(lines, section, _sed(f"{key} = {value}"))
        else:
            _set(lines, section, key, echoed if Trap.WORDS in scripts.traps else value, scripts)
        machine.files[path] = "\n".join(lines) + "\n"


def _set(lines: list[str], section: str, key: str, value: str, scripts: Scripts) -> None:
    if Trap.SED not in scripts.traps:
        value = re.sub(r"&" if Trap.BACKSLASH in scripts.traps else r"[&\\]", r"\\\g<0>", value)
    if not any(line.startswith(f"[{section}]") for line in lines):
        lines += ["", f"[{section}]"]
    found = _found(lines, section, key)
    if not found:
        _add(lines, section, _sed(f"{key} = {value}"))
    elif Trap.BAR not in scripts.traps or not re.search(
        r"(?<!\\)(\\\\)*\|", value
    ):  # sed fails, and all stays
        for number in found:
            kept = re.match(rf"{re.escape(key)}[ \t]*=[ \t]*", lines[number])
            assert kept is not None
            lines[number] = kept[0] + _sed(value, matched=lines[number])


def _add(lines: list[str], section: str, text: str) -> None:
    for number in reversed([n for n, line in enumerate(lines) if line.startswith(f"[{section}]")]):
        lines.insert(number + 1, text)


def _found(lines: list[str], section: str, key: str) -> list[int]:
    """The lines that set a key, in the sections of that name."""
    inside = False
    found = []
    for number, line in enumerate(lines):
        if re.match(r"\[.*\]", line):
            inside = not inside and line.startswith(f"[{section}]")
        elif inside and re.match(rf"{re.escape(key)}[ \t]*=", line):
            found.append(number)
    return found


def _sed(text: str, *, matched: str | None = None) -> str:
    r"""What sed makes of a text that it puts in; `matched` is the line it does so in.

    What it does with a letter or a digit behind a backslash (\n, \1, \x41) is not modelled.
    """
    whole = "&" if matched is None else matched

    def read(found: re.Match[str]) -> str:
        assert not re.match(r"[A-Za-z0-9]", found[1] or "-"), f"{found[0]} is sed's own"
        return whole if found[0] == "&" else found[1]

    return re.sub(r"\\(.)|&", read, text)


def _run(script: str, machine: Machine, text: str = "") -> str:
    """Run bash in a directory that looks like DevStack's."""
    with tempfile.TemporaryDirectory() as directory:
        for name in NAMES:
            Path(directory, name).touch()
        done = subprocess.run(
            ["bash", "-c", script],
            input=text.encode(),
            capture_output=True,
            timeout=20,
            check=False,
            cwd=directory,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", **machine.variables},
        )
    return done.stdout.decode()
