"""The project's own tables of facts: YAML files beside the templates, read by libyaml's parser where it is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

# Ten times faster than PyYAML's own; its wheels have it, a build without libyaml has not.
Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(path: Path) -> Any:
    """A table's content."""
    return yaml.load(path.read_text(), Loader=Loader)
