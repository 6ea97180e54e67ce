"""Places of what the project brings along: labs, templates, the catalogue."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]

# False where pip has installed it: labs, templates and the rest are then in the package.
IS_CHECKOUT = (PACKAGE.parent / "packer" / "catalogue.yaml").is_file()
PROJECT = PACKAGE.parent if IS_CHECKOUT else PACKAGE / "data"
LABS = PROJECT / "labs"
CATALOGUE = PROJECT / "packer" / "catalogue.yaml"
