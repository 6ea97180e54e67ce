"""Reader of the project's tables of facts: YAML files that lie beside the templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

# libyaml's parser is ten times faster than PyYAML's own. PyYAML's wheels contain it;
# a build from source on a host without libyaml does not.
Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(path: Path) -> Any:
    """Return a table's content."""
    return yaml.load(path.read_text(), Loader=Loader)
