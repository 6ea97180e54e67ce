"""The shape of the package: which module may import which, and how long things may get."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PACKAGE = PROJECT / "stacklab"

# Each imports only from those above it.
ORDER = (
    "drivers",
    "foreign",
    "errors",
    "words",
    "codec",
    "model",
    "paths",
    "typed",
    "facts",
    "releases",
    "files",
    "settings",
    "locks",
    "progress",
    "spec",
    "lint",
    "stages",
    "installers",
    "process",
    "tools",
    "secrets",
    "record",
    "nodes",
    "images",
    "providers",
    "checks",
    "doctor",
    "workflow",
    "dev",
    "views",
    "cli",
    "tasks",
    "pytest_plugin",
)
# Drivers run in other venvs, which lack what stacklab's has.
ONLY_FROM = {"process": {"errors", "words"}, "drivers": set()}

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


@functools.cache
def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


@functools.cache
def _imports(path: Path) -> tuple[str, ...]:
    """Return the dotted names of what it imports, inside functions and TYPE_CHECKING too."""
    names: list[str] = []
    for node in ast.walk(_parse(path)):
        if isinstance(node, ast.Import):
            names += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = f"{'.' * node.level}{node.module or ''}"
            names += (f"{module}.{alias.name}" for alias in node.names)
    return tuple(names)


def _layers_imported(path: Path) -> set[str]:
    parts = [name.split(".") for name in _imports(path)]
    return {part[1] for part in parts if part[0] == "stacklab" and len(part) > 1} - {_layer(path)}


def _module(path: Path) -> str:
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


INSTALLERS = {_module(path): path for path in (PACKAGE / "installers").rglob("*.py")}


def _reached_from(start: str) -> set[str]:
    """Every module of installers/ that a module imports, by itself or through others."""
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        module = waiting.pop()
        if module in reached:
            continue
        reached.add(module)
        for name in _imports(INSTALLERS[module]):
            waiting += [known for known in (name, name.rpartition(".")[0]) if known in INSTALLERS]
    return reached


def _is_in(module: str, folder: str) -> bool:
    """True for stacklab.installers.<any>.<folder> and whatever is below it."""
    return module.split(".")[3:4] == [folder]


@pytest.mark.parametrize("module", [name for name in INSTALLERS if _is_in(name, "lint")])
def test_a_lint_shares_no_code_with_a_renderer(module: str) -> None:
    """A lint that shared code with the renderer could not find the renderer's mistakes.

    Facts that were read from localrc/*.yaml may be shared: `releases`, packstack.keys.
    """
    reached = _reached_from(module)
    assert not [name for name in reached if _is_in(name, "answers")]
    assert not [name for name in reached if name.startswith("stacklab.installers.kit")]


@pytest.mark.parametrize("module", [name for name in INSTALLERS if _is_in(name, "answers")])
def test_a_renderer_shares_no_code_with_a_lint(module: str) -> None:
    reached = _reached_from(module)
    assert not [name for name in reached if _is_in(name, "lint")]
    assert not [
        name
        for path in (INSTALLERS[each] for each in reached)
        for name in _imports(path)
        if name.startswith("stacklab.lint")
    ]


def test_only_installers_and_model_name_an_installer() -> None:
    """Whoever else needs to know something of an installer asks its kit, or its releases."""
    names = {
        _name(path)
        for path in SOURCES
        for node in ast.walk(_parse(path))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "Installer"
    }
    allowed = ("stacklab/installers/", "stacklab/model/")
    assert not [name for name in names if not name.startswith(allowed)]


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
    packages = {name.split(".")[0] for name in _imports(path)}
    assert _layer(path) in ("cli", "tasks") or "invoke" not in packages


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
    assert not inside, f"{_name(path)} imports {sorted(inside)}"


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
