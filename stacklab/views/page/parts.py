"""What all pages are made with: templates, and the hashes by which a policy knows their parts."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import jinja2

from stacklab.checks import report

TEMPLATES = Path(__file__).parent / "templates"


def load_template(name: str) -> jinja2.Template:
    """Return a template, which escapes all that it is given."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["clean"] = report.clean
    return environment.get_template(name)


def policy_hash(text: str) -> str:
    """Return what a Content-Security-Policy knows an inline script or style by."""
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256-" + base64.b64encode(digest).decode()
