"""ENABLED_SERVICES as a localrc leaves it: by assignments, and by DevStack's functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from stacklab.lint.readers import shell


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The services that a file enables and disables.

    `is_whole` says that the file sets ENABLED_SERVICES; otherwise only changes are known.
    """

    enabled: Mapping[str, int]  # service -> line
    disabled: Mapping[str, int]
    is_whole: bool
    in_order: Mapping[str, int]  # lists with commas that disable_service finds all the same

    def has(self, *names: str) -> bool:
        """Return True if this file enables one of them."""
        return any(name in self.enabled for name in names)

    def find(self, *names: str) -> Iterator[tuple[str, int]]:
        """Yield those of the names that this file enables, each with its line."""
        for name in names:
            if name in self.enabled:
                yield name, self.enabled[name]

    def lacks(self, *names: str) -> bool:
        """Return True if certainly none of them is enabled."""
        if self.has(*names):
            return False
        # DevStack's default list, which an incomplete one adds to, may have any of them.
        return self.is_whole or all(name in self.disabled for name in names)

    def line(self, *names: str) -> int:
        """Return the line that enables the first of them that is enabled."""
        _name, line = next(self.find(*names), ("", 0))
        return line


def find_services(script: shell.Script, *, is_final: bool, defaults: str) -> Services:
    """Return the services that the statements of a localrc leave enabled and disabled.

    Statements under a condition are passed over: whether they run is not known here.
    """
    changes = _ServiceChanges(is_final=is_final, text=defaults)
    for statement in script.statements:
        if statement.conditional:
            continue
        if isinstance(statement, shell.Call):
            changes.apply_call(statement)
        elif statement.name == "ENABLED_SERVICES":
            changes.apply_assignment(statement)
    return changes.final_services()


@dataclass(slots=True, kw_only=True)
class _ServiceChanges:
    """ENABLED_SERVICES while a localrc is read; each name comes with the line that gave it."""

    is_final: bool  # disable_service wins over any later enable_service
    enabled: dict[str, int] = field(default_factory=dict)
    disabled: dict[str, int] = field(default_factory=dict)
    is_whole: bool = False  # the list does not go on from DevStack's default
    text: str = ""  # ENABLED_SERVICES, as far as stackrc's default is known
    in_order: dict[str, int] = field(default_factory=dict)  # lists that disable_service finds

    def apply_assignment(self, assignment: shell.Assignment) -> None:
        """Take `ENABLED_SERVICES=` or `+=`; `=$ENABLED_SERVICES,...` appends, too."""
        is_addition = assignment.is_appended or "ENABLED_SERVICES" in assignment.value.names
        if not is_addition:
            self._empty_list()
        for name in _split_list(assignment.value.text):
            self.enabled[name] = assignment.line
        self.text += f",{assignment.value.text.strip(',')}"

    def apply_call(self, call: shell.Call) -> None:
        """Take a call of one of DevStack's functions that change the list."""
        if call.name == "disable_all_services":
            self._empty_list()
        elif call.name == "enable_service":
            for argument in call.args:
                self._enable_listed(argument)
        elif call.name == "disable_service":
            # Unlike enable_service, it does not split its arguments at commas.
            for argument in call.args:
                self._disable_text(argument)

    def _disable_text(self, argument: shell.Word) -> None:
        """Take one argument: DevStack looks for it as a text between two commas."""
        text = argument.text
        names = [text]
        if "," in text and f",{text}," in f",{self.text},":
            self.in_order[text] = argument.line
            names = text.split(",")
        self.text = f",{self.text},".replace(f",{text},", ",").strip(",")
        for name in names:
            self.disabled[name] = argument.line
            self.enabled.pop(name, None)

    def final_services(self) -> Services:
        """Return the final list: a `-name` in it takes out `name`, wherever that stands."""
        negated: dict[str, int] = {}
        for name, line in self.enabled.items():
            if name.startswith("-"):
                negated[name.removeprefix("-")] = line
        remaining: dict[str, int] = {}
        for name, line in self.enabled.items():
            if not name.startswith("-") and name not in negated:
                remaining[name] = line
        return Services(
            enabled=remaining,
            disabled={**self.disabled, **negated},
            is_whole=self.is_whole,
            in_order=self.in_order,
        )

    def _empty_list(self) -> None:
        self.enabled.clear()
        self.text = ""
        self.is_whole = True

    def _enable_listed(self, argument: shell.Word) -> None:
        for name in _split_list(argument.text):
            # A final disable_service wins, though it stands above.
            if not (self.is_final and name in self.disabled):
                self.enabled[name] = argument.line
                self.text += f",{name}"


def _split_list(text: str) -> Iterator[str]:
    """Yield the names of a comma-separated list.

    DevStack splits it without bash, so blanks do not separate.
    """
    for name in text.split(","):
        # $ENABLED_SERVICES and other references are not names of services.
        if name and "$" not in name:
            yield name
