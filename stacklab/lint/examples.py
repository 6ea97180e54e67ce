"""The place of the examples of each rule, which tests/lint writes from its bad files."""

from __future__ import annotations

from pathlib import Path

TABLE = Path(__file__).with_name("examples.yaml")
