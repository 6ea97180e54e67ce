"""The JSON Schema of a lab's file, by which editors complete keys and mark mistakes."""

from __future__ import annotations

import json

from stacklab.codec import JSON
from stacklab.spec.form.schema import LabSpec
from stacklab.spec.placement import ANCHORS


def schema_json() -> str:
    """Return the JSON Schema of a lab's file, in draft 7, which yaml-language-server reads."""
    # pydantic's draft 2020-12 differs from draft 7 in where definitions are.
    schema = _simplify(LabSpec.model_json_schema(ref_template="#/definitions/{model}"))
    assert isinstance(schema, dict)
    schema["definitions"] = schema.pop("$defs")
    properties = schema["properties"]
    assert isinstance(properties, dict)
    # pydantic knows `image` as a list only, but a spec may have a single name there.
    image = properties["image"]
    assert isinstance(image, dict)
    names = image.pop("items")
    text = image.pop("description")
    properties["image"] = {"description": text, "anyOf": [names, image | {"items": names}]}
    # Of top-level keys alone, which pydantic never sees.
    schema["patternProperties"] = {f"^{ANCHORS}": {}}
    head: dict[str, JSON] = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "stacklab lab",
    }
    schema.pop("title", None)
    # The head first: editors and people look for $schema at the top.
    return json.dumps(head | schema, indent=2) + "\n"


def _simplify(value: JSON) -> JSON:
    """Drop pydantic's `null` alternatives, defaults and titles; wrap a $ref that has siblings."""
    if isinstance(value, list):
        return [_simplify(item) for item in value]
    if not isinstance(value, dict):
        return value
    value = _without_null(value)
    properties = value.get("properties")
    if isinstance(properties, dict):
        # Its keys are a lab's, of which one may be called `title` or `default`.
        schema = {key: _simplify(item) for key, item in value.items() if key != "properties"}
        schema["properties"] = {name: _simplify(field) for name, field in properties.items()}
        return schema
    schema = {}
    for key, item in value.items():
        if key not in ("title", "default"):
            schema[key] = _simplify(item)
    # patternProperties alone would allow every name that does not match the pattern.
    if "patternProperties" in schema:
        schema["additionalProperties"] = False
    if "$ref" in schema and len(schema) > 1:  # draft 7 ignores all that is beside a $ref
        schema["allOf"] = [{"$ref": schema.pop("$ref")}]
    return schema


def _without_null(value: dict[str, JSON]) -> dict[str, JSON]:
    """Replace `anyOf: [TYPE, null]`, which stands for an optional key, by TYPE."""
    alternatives = value.get("anyOf")
    if not isinstance(alternatives, list):
        return value
    (alternative,) = [item for item in alternatives if item != {"type": "null"}]
    assert isinstance(alternative, dict)
    others = {key: item for key, item in value.items() if key != "anyOf"}
    return others | alternative
