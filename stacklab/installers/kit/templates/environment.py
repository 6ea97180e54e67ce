"""The one Jinja2 environment that all answer files are rendered with."""

from __future__ import annotations

import functools
import json
import shlex
import traceback
from collections.abc import Mapping
from pathlib import Path

import jinja2

from stacklab.errors import RenderError
from stacklab.installers.kit.templates import quoting


@functools.cache  # compiling a template takes longer than everything else in rendering it
def environment(templates: Path) -> jinja2.Environment:
    """Return the environment whose template names are relative to `templates`.

    There is one for each folder; a template that was edited in between is read again.
    """
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # shell variables, not HTML; guard.py guards their characters
    )
    env.filters["sh"] = shell_word
    env.filters["yaml"] = yaml_text
    env.filters["localrc"] = quoting.localrc_value
    env.filters["post_config"] = quoting.post_config_value
    env.filters["option_line"] = quoting.option_line
    return env


def shell_word(value: object) -> str:
    """Quote a value, if it needs quotes, so that bash reads it back."""
    return shlex.quote(str(value))


def yaml_text(value: object) -> str:
    """Quote a value so that YAML reads it back as text: "2025.2" and "yes" stay as they are."""
    # A JSON string is a double-quoted scalar of YAML, with the same escapes.
    return json.dumps(str(value), ensure_ascii=False)


def render_template(env: jinja2.Environment, name: str, context: Mapping[str, object]) -> str:
    """Render one template; raises RenderError naming the template and its line."""
    try:
        return env.get_template(name).render(context)
    except jinja2.TemplateNotFound as error:
        raise RenderError(f"{error.name}: no such template", hint="git status localrc/") from error
    except jinja2.TemplateSyntaxError as error:
        raise RenderError(f"{error.name or name}:{error.lineno}: {error.message}") from error
    except jinja2.UndefinedError as error:
        raise RenderError(f"{_find_place(error, env, name)}: {error.message}") from error


def _find_place(error: BaseException, env: jinja2.Environment, name: str) -> str:
    """Return the deepest `template:line` of a traceback.

    Jinja2 gives its frames the template's file name.
    """
    template_of_file = {
        env.get_template(template).filename: template for template in env.list_templates()
    }
    # The deepest frame of all is Jinja2's own, which raised the error.
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename in template_of_file:
            return f"{template_of_file[frame.filename]}:{frame.lineno}"
    return name
