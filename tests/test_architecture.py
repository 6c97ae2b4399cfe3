"""The house's rules on imports and sizes, read off the source of every module.

A module imports only from its own folder and from folders to its left in ORDER, at whatever depth
the import stands: a local or type-only import is still a dependency.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import dfim_fast

ORDER = [
    "errors",
    "jit",
    "ops",
    "graph",
    "sequence",
    "plan",
    "backends",
    "maps",
    "stats",
    "io",
    "plot",
    "report",
    "scale",
    "compat",
    "cli",
]
# The compiled module belongs to the backends; `python -m dfim_fast` is a door to the command line.
ALIASES = {"_native": "backends", "__main__": "cli"}
# Third-party package -> the only places that may import it.
OWNERS = {
    "onnx": ["graph"],
    "cupy": ["backends/cuda"],
    "dask": ["scale"],
    "distributed": ["scale"],
    "dask_jobqueue": ["scale"],
    "keras": ["graph"],
    "matplotlib": ["plot", "report"],
    "plotly": ["report"],
    "jinja2": ["report"],
    "tf2onnx": ["graph"],
    "torch": ["graph", "maps"],
    "typer": ["cli"],
}
MAX_LINES = 400

PACKAGE = Path(dfim_fast.__file__).parent
# The package's own __init__ only names where public names live, so it may point anywhere.
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def imported(source: str, module: str, is_package: bool = False) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) of everything that a module's source imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                above = parts[: len(parts) - node.level + is_package]
                base = ".".join([*above, base] if base else above)
            if base == "dfim_fast":  # `from dfim_fast import graph`, or a public name
                yield from ((node.lineno, home(alias.name)) for alias in node.names)
            else:
                yield node.lineno, base


def home(name: str) -> str:
    """Give the module behind `from dfim_fast import name`."""
    return f"dfim_fast.{dfim_fast._HOME.get(name, name)}"


def folder(module: str) -> str:
    """Give the folder of `dfim_fast.<folder>.<...>` that ORDER ranks."""
    name = module.split(".")[1]
    return ALIASES.get(name, name)


def problems(source: str, module: str, is_package: bool = False) -> list[str]:
    """List the imports of a module that break a rule, one line each."""
    found = []
    here = folder(module)
    where = "/".join(module.split(".")[1:])
    if here not in ORDER:
        return [f"{module}: folder {here!r} has no place in ORDER"]
    for line, name in imported(source, module, is_package):
        top = name.split(".")[0]
        if top in OWNERS and not any(f"{where}/".startswith(f"{o}/") for o in OWNERS[top]):
            found.append(f"{module}:{line} imports {name}, which only {OWNERS[top]} may")
        if top != "dfim_fast" or "." not in name or name == "dfim_fast.__version__":
            continue
        there = folder(name)
        if there not in ORDER:
            found.append(f"{module}:{line} imports {name}: {there!r} has no place in ORDER")
        elif ORDER.index(there) > ORDER.index(here):
            found.append(f"{module}:{line} imports {name}, to the right of {here}")
        elif here == "sequence" and there not in ("errors", "jit", "sequence"):
            found.append(f"{module}:{line} imports {name}: sequence stands on errors alone")
    return found


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_go_one_way(path):
    source = path.read_text(encoding="utf-8")
    found = problems(source, module_name(path), is_package=path.name == "__init__.py")
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_no_module_is_long(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES, f"{module_name(path)} has {lines} lines; split it"


@pytest.mark.parametrize(
    ("module", "source", "text"),
    [
        ("dfim_fast.ops.conv", "from dfim_fast.graph.graph import Graph", "to the right of ops"),
        ("dfim_fast.ops.conv", "from ..graph import graph", "imports dfim_fast.graph, to the"),
        ("dfim_fast.graph.cone", "def f():\n    import dfim_fast.plan.plan", ":2 imports"),
        ("dfim_fast.plan.plan", "from dfim_fast import backends", "imports dfim_fast.backends"),
        ("dfim_fast.plan.plan", "from dfim_fast import significance", "dfim_fast.stats.signif"),
        ("dfim_fast.sequence.mutants", "from dfim_fast.ops import conv", "errors alone"),
        ("dfim_fast.plan.plan", "import onnx.helper", "only ['graph'] may"),
        ("dfim_fast.backends.numba_cpu.walk", "import cupy", "only ['backends/cuda'] may"),
        ("dfim_fast.cli.main", "from matplotlib import pyplot", "only ['plot', 'report'] may"),
        ("dfim_fast.maps.motif", "import dask.array", "only ['scale'] may"),
        ("dfim_fast.helpers.text", "import os", "no place in ORDER"),
        ("dfim_fast.maps.motif", "import dfim_fast.helpers", "no place in ORDER"),
        ("dfim_fast.stats.null", "import dfim_fast._native, dfim_fast.plot", "dfim_fast.plot"),
    ],
)
def test_a_breach_is_found(module, source, text):
    (found,) = problems(source, module)
    assert text in found


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("dfim_fast.graph.reader", "import onnx\nfrom . import graph\nfrom ..errors import X"),
        ("dfim_fast.backends.cuda.launch", "import cupy\nfrom dfim_fast import _native"),
        ("dfim_fast.maps.interaction", "from dfim_fast import __version__, load_model"),
        ("dfim_fast.cli.main", "import typer, dfim_fast\nfrom dfim_fast.scale import run"),
        ("dfim_fast.plot.tracks", "from matplotlib.axes import Axes\nimport onnxruntime"),
        ("dfim_fast.__main__", "from dfim_fast.cli.main import app"),
    ],
)
def test_what_is_allowed_passes(module, source):
    assert problems(source, module) == []


def test_relative_imports_of_a_package_start_at_itself():
    assert problems("from .walk import walk", "dfim_fast.backends", is_package=True) == []
    assert "to the right" in problems("from ..maps import x", "dfim_fast.plan", True)[0]
