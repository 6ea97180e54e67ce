"""The shape of the package, held by a test: which module may import which, and how long things may get."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PACKAGE = PROJECT / "stacklab"

# Each imports only from those above it.
ORDER = (
    "errors",
    "words",
    "model",
    "paths",
    "facts",
    "releases",
    "files",
    "locks",
    "progress",
    "spec",
    "lint",
    "process",
    "tools",
    "secrets",
    "record",
    "nodes",
    "accelerator",
    "images",
    "providers",
    "installers",
    "checks",
    "doctor",
    "workflow",
    "dev",
    "views",
    "cli",
    "pytest_plugin",
)
ONLY_FROM = {"process": {"errors"}}

# What only a provider of nodes, and the tools that it uses, may know.
_OF_LIBVIRT = ("virsh", "qemu:///", "domstate")
_BELOW_THE_SEAM = ("tools", "providers")
# The doctor asks for libvirtd and its programs by name: it looks at the host before there is a lab.
_PROBES = "doctor"

MODULES = sorted(PACKAGE.rglob("*.py"))
SOURCES = [*MODULES, *PROJECT.glob("tasks.py")]


def _name(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def _layer(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def _imports(path: Path) -> Iterator[str]:
    """Dotted names of what it imports, inside functions and TYPE_CHECKING too."""
    for node in ast.walk(_parse(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (
                f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names
            )


def _layers_imported(path: Path) -> set[str]:
    parts = [name.split(".") for name in _imports(path)]
    return {part[1] for part in parts if part[0] == "stacklab" and len(part) > 1} - {_layer(path)}


def test_every_module_has_its_place_in_the_order() -> None:
    unknown = {_layer(path) for path in MODULES} - {*ORDER, "__init__"}
    assert not unknown, (
        f"{sorted(unknown)} has no place yet: put it into ORDER here, below all that it imports"
    )


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_a_module_imports_only_from_those_above_it(path: Path) -> None:
    layer = _layer(path)
    above = set(ORDER[: ORDER.index(layer)]) if layer in ORDER else set()
    wrong = _layers_imported(path) - ONLY_FROM.get(layer, above)
    assert not wrong, f"{_name(path)} imports {sorted(wrong)}, which is not above {layer}"


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_imports_are_written_in_full(path: Path) -> None:
    relative = [name for name in _imports(path) if name.startswith(".")]
    assert not relative, (
        f"{_name(path)} imports {relative}: write stacklab.…, so that the order can be read"
    )


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_only_tasks_py_and_cli_import_invoke(path: Path) -> None:
    assert _layer(path) == "cli" or "invoke" not in {name.split(".")[0] for name in _imports(path)}


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_only_a_provider_uses_libvirt_s_tools(path: Path) -> None:
    used = {
        name
        for name in _imports(path)
        if name.startswith(("stacklab.tools.libvirt", "stacklab.tools.vagrant", "libvirt."))
        or name == "libvirt"
    }
    assert not used or _layer(path) in _BELOW_THE_SEAM, f"{_name(path)} imports {sorted(used)}"


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_nothing_above_the_providers_knows_libvirt_s_words(path: Path) -> None:
    layer = _layer(path) if path in MODULES else "tasks"
    if layer in _BELOW_THE_SEAM or layer == _PROBES:
        return
    strings = (
        node.value
        for node in ast.walk(_parse(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    words = {word for text in strings for word in _OF_LIBVIRT if word in text}
    assert not words, f"{_name(path)} says {sorted(words)}: ask the provider (contract.py)"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_a_provider_is_known_by_its_line_in_the_registry_alone(path: Path) -> None:
    if _layer(path) == "providers":
        return
    inside = {name for name in _imports(path) if name.startswith("stacklab.providers.libvirt")}
    # The bench compares with plain Vagrant, and borrows that provider's pool.
    assert not inside or path.name == "bench.py", f"{_name(path)} imports {sorted(inside)}"


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_no_function_changes_a_global(path: Path) -> None:
    lines = [node.lineno for node in ast.walk(_parse(path)) if isinstance(node, ast.Global)]
    assert not lines, f"{_name(path)} says `global` at {lines}"


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_a_module_has_at_most_400_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_a_function_has_at_most_60_lines(path: Path) -> None:
    functions = [
        n for n in ast.walk(_parse(path)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    long = {
        f.name: length for f in functions if (length := (f.end_lineno or 0) - f.lineno + 1) > 60
    }
    assert not long, f"{_name(path)}: {long}"
