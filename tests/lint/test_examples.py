"""What `answers.rules RULE` shows: a line of the rule's folder here, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from stacklab.installers import linting as lint
from stacklab.lint.examples import TABLE
from stacklab.views import judgement

BAD = Path(__file__).parent / "bad"
LINES = 4  # of a file that a finding is about as a whole


def example(rule: lint.Rule) -> dict[str, str]:
    told = (BAD / rule.id / "expected.txt").read_text().splitlines()
    line = next(line for line in told if line.split(": ")[1] == rule.id)
    place, _rule, rest = line.split(": ", 2)
    effect, _, good = rest.rpartition(" -> ")
    name, _, number = place.partition(":")
    name = name.partition(":")[0]
    path = BAD / rule.id / name
    node, _, rendered = place.partition(":/opt/stack/")
    if rendered:  # of a lab: node:/opt/stack/file:line
        name, _, number = rendered.partition(":")
        path = BAD / rule.id / node / name
    text = path.read_bytes().decode(errors="replace") if path.is_file() else ""
    lines = text.replace("\0", "\\0").splitlines()
    bad = lines[int(number) - 1 : int(number)] if number.isdigit() else lines[:LINES]
    return {"file": name, "bad": "\n".join(bad) or "(nothing)", "effect": effect, "good": good}


def test_every_rule_has_an_example_that_is_todays(compare: Callable[[Path, str], None]) -> None:
    examples = {rule.id: example(rule) for rule in lint.RULES}
    text = yaml.safe_dump(examples, sort_keys=True, width=110, allow_unicode=True)
    compare(TABLE, f"# Written by pytest tests/lint --update-lint, from tests/lint/bad.\n{text}")


@pytest.mark.parametrize("rule", lint.RULES, ids=lambda rule: rule.id)
def test_a_rule_is_explained_by_what_is_bad_and_what_is_good(rule: lint.Rule) -> None:
    shown = "\n".join(judgement.rule_lines(rule))
    assert rule.source in shown
    assert "bad (" in shown
    assert "good:" in shown
