"""The JSON Schema for editors: its draft, its hover texts, what it allows."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from stacklab.spec import json_schema
from stacklab.spec.form.values import NAME

Exported = dict[str, dict[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def exported() -> Exported:
    loaded: Exported = json.loads(json_schema.schema_json())
    return loaded


def test_the_schema_is_of_the_draft_that_editors_speak() -> None:
    text = json_schema.schema_json()
    assert '"http://json-schema.org/draft-07/schema#"' in text
    for newer in ("$defs", "prefixItems", "unevaluated", "dependentRequired", '"const"'):
        assert newer not in text


def test_the_schema_offers_no_null() -> None:
    assert "null" not in json_schema.schema_json()


def test_every_key_has_a_hover_text(exported: Exported) -> None:
    models = [exported, *exported["definitions"].values()]
    for model in models:
        fields = model["properties"]
        assert isinstance(fields, dict)
        for name, field in fields.items():
            assert field.get("description"), name


def test_no_object_of_the_schema_allows_unknown_keys(exported: Exported) -> None:
    for model in [exported, *exported["definitions"].values()]:
        assert model["additionalProperties"] is False
    assert exported["properties"]["nodes"]["additionalProperties"] is False


def test_nothing_stands_beside_a_reference() -> None:
    def walk(value: object) -> None:
        if isinstance(value, dict):
            assert "$ref" not in value or len(value) == 1
            for item in value.values():
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)

    walk(json.loads(json_schema.schema_json()))


def test_an_image_is_a_name_or_a_list_of_names(exported: Exported) -> None:
    alternatives = exported["properties"]["image"]["anyOf"]
    assert isinstance(alternatives, list)
    assert [alternative["type"] for alternative in alternatives] == ["string", "array"]


def test_every_pattern_of_the_schema_is_one() -> None:
    patterns = re.findall(r'"pattern": (".*")', json_schema.schema_json())
    assert f'"^{NAME}$"' in patterns
    for pattern in patterns:
        re.compile(json.loads(pattern))
