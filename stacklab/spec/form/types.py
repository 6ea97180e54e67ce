"""Types of a spec's fields, taken apart."""

from __future__ import annotations

import types
from typing import Annotated, get_args, get_origin


def plain_type(kind: object) -> object:
    """Return a field's type without `| None` and without its validators."""
    while get_origin(kind) in (Annotated, types.UnionType):
        kind = get_args(kind)[0]
    return kind
