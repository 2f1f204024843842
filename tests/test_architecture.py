"""The house keeps its plan: imports point down, libraries are silent, help is fast."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT

PACKAGE = ROOT / "ptv_hub"

HUB_DEPENDENCIES = {
    *("torch", "torchvision", "pytorchvideo", "pydantic", "requests", "tqdm", "safetensors"),
    *("filelock", "numpy", "typing_extensions"),
}
"""What a bare torch.hub clone has: these, and what they bring."""

GROUND = {"text", "errors", "markdown", "files", "environment"}
ON_THE_GROUND = {("files", "errors"), ("errors", "text"), ("markdown", "text")}
"""Which of its rooms may import which: what writes files raises errors, errors hold text."""


def wings() -> dict[str, int]:
    """Wing -> how high it stands, as docs/architecture.md says; the ground's rooms stand at 0."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = text.split("<!-- wings, from the ground up -->")[1].split("<!-- end of wings -->")[0]
    rows = re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE)
    return {name: height for height, row in enumerate(rows) for name in re.findall(r"`(\w+)`", row)}


def sources() -> list[Path]:
    return [p for p in sorted(PACKAGE.rglob("*.py")) if p.name != "_version.py"]


def wing_of(path: Path) -> str:
    """The wing that a file stands in, or its own name at the package's root."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path, *, top_level: bool = False) -> set[str]:
    """Dotted names that a file imports; with ``top_level`` only those run on its import."""
    found: set[str] = set()

    def walk(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                found.update(alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}: relative import"
                found.update(f"{child.module}.{alias.name}" for alias in child.names)
            elif top_level and (
                isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
                or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test))
            ):
                continue
            walk(child)

    walk(ast.parse(path.read_text()))
    return found


def test_the_plan_names_every_wing_and_no_other():
    standing = {wing_of(path) for path in sources()} - {"__init__", "__main__"}
    assert standing == set(wings())
    assert {name for name, height in wings().items() if height == 0} == GROUND


def test_the_plan_names_every_room_of_the_wings_that_it_lists():
    text = (ROOT / "docs" / "architecture.md").read_text()
    for room in re.findall(r"`(\w+)`", text.split("<!-- wings")[1].split("knows nothing of")[0]):
        assert list(PACKAGE.rglob(f"{room}.py")) or list(PACKAGE.rglob(room)), room


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_only_down(path):
    heights = wings()
    here = wing_of(path)
    if here in ("__init__", "__main__"):
        return  # the package's face: it names every wing's public functions
    for name in imports(path):
        if not name.startswith("ptv_hub.") or name == "ptv_hub.__version__":
            continue
        there = name.split(".")[1]
        if there == "_version" or (there == here and heights[here] > 0):
            continue
        if {there, here} <= GROUND:
            assert (here, there) in ON_THE_GROUND, name
            continue
        assert heights[there] < heights[here], f"{here} imports {name}"


def test_no_circle_between_files():
    graph = {}
    for path in sources():
        module = "ptv_hub." + ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        graph[module.removesuffix(".__init__")] = imports(path)
    edges = {
        module: {
            other for other in graph if any(n == other or n.startswith(f"{other}.") for n in names)
        }
        - {module, "ptv_hub"}
        - {other for other in graph if module.startswith(f"{other}.")}
        for module, names in graph.items()
    }
    done: set[str] = set()

    def walk(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for other in sorted(edges[module]):
                walk(other, (*path, module))
            done.add(module)

    for module in edges:
        if module not in ("ptv_hub", "ptv_hub.__main__"):
            walk(module, ())


def test_every_room_imports_and_then_every_public_name_is_a_function():
    code = (
        "import importlib, inspect, pkgutil, ptv_hub\n"
        "for room in pkgutil.walk_packages(ptv_hub.__path__, 'ptv_hub.'):\n"
        "    if not room.name.endswith('__main__'):\n"
        "        importlib.import_module(room.name)\n"
        "assert set(dir(ptv_hub)) == set(ptv_hub.__all__)\n"
        "for name in ptv_hub.__all__:\n"
        "    value = getattr(ptv_hub, name)\n"
        "    assert not inspect.ismodule(value), name\n"
        "    assert name == '__version__' or callable(value), name\n"
        "wings = {room.name for room in pkgutil.iter_modules(ptv_hub.__path__)}\n"
        "planned = {'fetch', 'export', 'push', 'finetune', 'bench', 'train', 'watch'}\n"
        "assert not wings & ({*ptv_hub.__all__} | planned), wings\n"
        "print(ptv_hub.entry('x3d_xs').name, ptv_hub.list_models('x3d_xs'))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().startswith("x3d_xs")


@pytest.mark.parametrize(
    "wing",
    [p for p in sorted(PACKAGE.iterdir()) if (p / "__init__.py").exists()],
    ids=lambda p: p.name,
)
def test_a_wings_face_imports_nothing(wing):
    if wing.name != "cli":
        assert imports(wing / "__init__.py") <= {"__future__.annotations"}


def test_the_road_needs_only_what_a_bare_clone_has():
    seen: set[Path] = set()
    waiting = [PACKAGE / "weights" / "load.py"]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        for name in imports(path, top_level=True):
            top, *rest = name.split(".")
            if top == "ptv_hub":
                for end in range(1, len(rest) + 1):
                    place = PACKAGE.joinpath(*rest[:end])
                    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
                    waiting.extend([file] if file.exists() else [])
            else:
                assert top in HUB_DEPENDENCIES or top in sys.stdlib_module_names, f"{path}: {name}"
    road = {str(path.relative_to(PACKAGE)) for path in seen}
    assert {"zoo/manifest.py", "weights/checkpoint.py", "models/builders.py"} <= road


def test_rooms_and_functions_stay_small():
    """350 lines a file; 60 a function, its docstring apart, but for the command line's options."""
    for path in sources():
        text = path.read_text()
        assert text.count("\n") <= 350, path
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.FunctionDef) or wing_of(path) == "cli":
                continue
            told = (ast.get_docstring(node, clean=False) or "").count("\n")
            assert node.end_lineno - node.lineno - told < 60, f"{path}: {node.name}"


def test_only_the_command_line_prints():
    for path in sources():
        if wing_of(path) == "cli":
            continue
        calls = [
            node.lineno
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "print"
        ]
        assert not calls, f"{path} prints in lines {calls}"


def test_the_command_line_says_everything_in_two_places():
    """What others wrote goes by ``talk`` and ``tables``, which let nothing command a terminal."""
    for path in sorted((PACKAGE / "cli").glob("*.py")):
        if path.stem in ("talk", "tables", "__init__"):
            continue
        called = re.findall(r"\b(?:typer\.|click\.)?s?echo\(|(?<![\w.])print\(", path.read_text())
        assert called == (["typer.echo("] if path.stem == "training_talk" else []), path


@pytest.mark.parametrize(
    "arguments", [["--help"], ["list"], ["show", "x3d_m"], ["convert", "--help"]]
)
def test_help_and_list_do_not_import_torch(arguments):
    code = (
        "import sys\n"
        f"sys.argv = ['ptv-hub', *{arguments!r}]\n"
        "from ptv_hub.cli import main\n"
        "try:\n    main()\nexcept SystemExit: pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_importing_the_package_imports_no_torch():
    code = "import sys, ptv_hub; ptv_hub.list_models(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_every_dependency_has_its_reason():
    text = (ROOT / "docs" / "dependencies.md").read_text()
    project = (ROOT / "pyproject.toml").read_text()
    lists = project[project.index("\ndependencies = [") : project.index("[project.scripts]")]
    listed = set(re.findall(r'^\s*"([A-Za-z][\w.-]*)', lists, re.MULTILINE))
    assert {"torch", "safetensors", "pytest"} <= listed
    for package in listed:
        assert package in text, f"docs/dependencies.md does not name {package}"
