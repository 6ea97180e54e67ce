"""Validation of a lab's file by its form: pydantic's errors as findings, and what is left.

pydantic refuses a model whole if one value is wrong. The rules should still judge the rest, so
that a user sees all mistakes at once: what was refused is left out, and the rest tried again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from stacklab.spec.form.fields import Spec
from stacklab.spec.form.schema import STAND_IN, LabSpec
from stacklab.spec.form.types import plain_type
from stacklab.spec.form.values import Wrong
from stacklab.spec.mistakes import Keys, SpecMistake
from stacklab.spec.source import Document, Value
from stacklab.words import meant_or_known

# Each attempt leaves out what the one before refused: a NIC's network, then the list of NICs,
# then the node. Three are enough; ten would be a bug.
MOST_ATTEMPTS = 10

_NO_VALUE = "does not have a value"

# What would be right where a key is missing.
_EXAMPLES = {
    "cidr": "write cidr: 192.168.150.0/24",
    "mode": "write mode: nat, isolated, bridged or macvtap",
    "network": "write network: NAME",
    "nics": "write nics: [{network: NAME}]",
    "size": "write size: 20GiB",
    "image": "write image: debian-12",
    "name": "write name: nova-api answers",
    "networks": "see labs/mini-2node.yaml",
    "nodes": "see labs/mini-2node.yaml",
}

# For pydantic's types of errors: what is wrong, and what would be right.
_NOT_A_MAPPING = ("is not a mapping", "write `key: value` lines, indented")
_NOT_A_LIST = ("is not a list", "write `- ` lines, indented")
_WRONG_FORMS = {
    "model_type": _NOT_A_MAPPING,
    "dict_type": _NOT_A_MAPPING,
    "model_attributes_type": _NOT_A_MAPPING,
    "tuple_type": _NOT_A_LIST,
    "list_type": _NOT_A_LIST,
}


def validate(document: Document) -> tuple[LabSpec | None, list[SpecMistake]]:
    """Make a LabSpec without the parts that were refused, each of which is a finding.

    It is None if nothing usable is left.
    """
    data, findings = _without_empty(document.data, ())
    if not isinstance(data, dict):
        if not findings:
            findings.append(
                SpecMistake(path=(), wrong="is not a mapping", right="see labs/mini-2node.yaml")
            )
        return None, findings
    for attempt in range(MOST_ATTEMPTS):
        try:
            return LabSpec.model_validate(data), findings
        except ValidationError as error:
            errors = error.errors(include_url=False, include_input=False)
        if attempt == 0:
            # Later attempts find only what comes from leaving something out.
            findings += _new_findings(errors, findings)
        for detail in errors:
            _leave_out(data, _error_path(detail), is_missing=detail["type"] == "missing")
    return None, findings


def _new_findings(
    errors: Iterable[ErrorDetails], findings: Iterable[SpecMistake]
) -> list[SpecMistake]:
    """Return pydantic's errors as findings, except at places that have a finding already."""
    # A key without a value was left out, so pydantic says that it is missing.
    reported = {finding.path for finding in findings}
    new = []
    for detail in errors:
        finding = _error_finding(detail)
        if finding.path not in reported:
            new.append(finding)
    return new


def _without_empty(value: Value, path: Keys) -> tuple[Value, list[SpecMistake]]:
    """Return the value without keys that have no value (`memory:`), and a finding for each."""
    if isinstance(value, dict):
        return _mapping_without_empty(value, path)
    if isinstance(value, list):
        return _list_without_empty(value, path)
    return value, []


def _mapping_without_empty(
    mapping: dict[str, Value], path: Keys
) -> tuple[dict[str, Value], list[SpecMistake]]:
    result: dict[str, Value] = {}
    findings: list[SpecMistake] = []
    for key, item in mapping.items():
        if item is None:
            findings.append(
                SpecMistake(
                    path=(*path, key),
                    wrong=_NO_VALUE,
                    right="write one, or remove the key",
                    at_key=True,
                )
            )
            continue
        result[key], inner_findings = _without_empty(item, (*path, key))
        findings += inner_findings
    return result, findings


def _list_without_empty(items: list[Value], path: Keys) -> tuple[list[Value], list[SpecMistake]]:
    result: list[Value] = []
    findings: list[SpecMistake] = []
    for index, item in enumerate(items):
        item_path = (*path, index)
        if item is None:
            findings.append(
                SpecMistake(
                    path=item_path,
                    wrong=_NO_VALUE,
                    right="write one, or remove the line",
                )
            )
            item = ""  # the later items keep their index, which is part of their path
        inner, inner_findings = _without_empty(item, item_path)
        result.append(inner)
        findings += inner_findings
    return result, findings


def _error_path(detail: ErrorDetails) -> Keys:
    # pydantic adds "[key]" where it refuses a mapping's key instead of its value. Before that it is
    # the user's own word.
    *outer, last = detail["loc"]
    return tuple(outer) if last == "[key]" else (*outer, last)


def _leave_out(data: dict[str, Value], path: Keys, *, is_missing: bool) -> None:
    """Remove what was refused from the data, with as little around it as possible."""
    *outer, last = path
    images = data.get("image")
    if path[0] == "image" and isinstance(images, list) and isinstance(last, int):
        # The other images keep their index, which is part of their path.
        images[last] = STAND_IN
        return
    if not outer:
        _leave_out_top(data, str(last))
        return
    if is_missing:
        path = path[:-1]  # it is not there: what needs it goes
    if isinstance(path[-1], int):
        # Without one item, the later ones of a list would change their places: the list goes.
        path = path[:-1]
    owner = _value_at(data, path[:-1])
    # It is not a mapping if an error before this one has removed it.
    if not isinstance(owner, dict):
        return
    if path[-1] in ("bridge", "device") and not is_missing:
        owner[str(path[-1])] = STAND_IN  # else the rules would say that the mode needs one
        return
    owner.pop(str(path[-1]), None)


def _leave_out_top(data: dict[str, Value], key: str) -> None:
    # A LabSpec must have these keys, but need not have anything in them.
    stand_ins: dict[str, Value] = {"image": [STAND_IN], "networks": {}, "nodes": {}}
    data.pop(key, None)
    if key in stand_ins:
        data[key] = stand_ins[key]


def _value_at(value: Value, path: Keys) -> Value:
    for key in path:
        if isinstance(value, dict) and isinstance(key, str):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int):
            value = value[key]
    return value


def _model_at(path: Keys) -> type[Spec]:
    """Return the type of the mapping at that path of a spec."""
    kind: object = LabSpec
    for key in path:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = plain_type(kind.model_fields[str(key)].annotation)
            continue
        # The type of the values of a dict, or of the items of a tuple.
        argument = 1 if get_origin(kind) is dict else 0
        kind = plain_type(get_args(kind)[argument])
    assert isinstance(kind, type)
    assert issubclass(kind, Spec)
    return kind


def _error_finding(detail: ErrorDetails) -> SpecMistake:
    """Return pydantic's error in our own words, where there are some."""
    kind = detail["type"]
    path = _error_path(detail)
    key = str(path[-1]) if path else ""
    if kind == "missing":
        return SpecMistake(path=path, wrong="is missing", right=_EXAMPLES.get(key, ""))
    if kind == "extra_forbidden":
        known = list(_model_at(path[:-1]).model_fields)
        return SpecMistake(
            path=path,
            wrong="unknown key",
            right=meant_or_known(key, known),
            at_key=True,
        )
    # The errors of our own readers, which are ValueErrors.
    cause = detail.get("ctx", {}).get("error")
    if kind == "value_error" and isinstance(cause, Wrong):
        return SpecMistake(
            path=path,
            wrong=cause.wrong,
            right=cause.right,
            at_key=detail["loc"][-1] == "[key]",
        )
    if kind in _WRONG_FORMS:
        wrong, right = _WRONG_FORMS[kind]
        return SpecMistake(path=path, wrong=wrong, right=right)
    return SpecMistake(path=path, wrong=detail["msg"])
