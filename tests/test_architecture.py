"""The house keeps its plan: imports point down, libraries are silent, help is fast."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "ptv_hub"

HUB_DEPENDENCIES = {
    *("torch", "torchvision", "pytorchvideo", "pydantic", "requests", "tqdm", "safetensors"),
    *("filelock", "numpy", "typing_extensions"),
}
"""What a bare torch.hub clone has: these, and what they bring."""

ON_THE_ROAD = ("load",)
"""Rooms whose import must need no more than HUB_DEPENDENCIES; so must all that they import."""


def rooms() -> dict[str, int]:
    """Room -> layer, as docs/architecture.md says."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = text.split("<!-- rooms -->")[1].split("<!-- end of rooms -->")[0]
    return {
        name: int(layer)
        for layer, names in re.findall(r"^\| (\d+) \| ([^|]*) \|", table, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", names)
    }


def sources() -> list[Path]:
    return [p for p in sorted(PACKAGE.rglob("*.py")) if p.name != "_version.py"]


def room_of(path: Path) -> str:
    """Name of the room a file belongs to: a module, or a folder of them."""
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


def test_the_plan_names_every_room_and_no_other():
    standing = {room_of(path) for path in sources()} - {"__init__", "__main__"}
    assert standing == set(rooms())


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_only_to_a_lower_layer(path):
    layers = rooms()
    here = room_of(path)
    if here in ("__init__", "__main__"):
        return  # the package's face: it names every room's public functions
    for name in imports(path):
        if not name.startswith("ptv_hub.") or name == "ptv_hub.__version__":
            continue
        there = name.split(".")[1]
        if there in ("_version", here):
            continue
        assert layers[there] < layers[here], f"{here} ({layers[here]}) imports {there}"


def test_the_road_needs_only_what_a_bare_clone_has():
    seen: set[str] = set()
    waiting = list(ON_THE_ROAD)
    while waiting:
        room = waiting.pop()
        if room in seen:
            continue
        seen.add(room)
        path = PACKAGE / room
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
        for file in files:
            for name in imports(file, top_level=True):
                top, *rest = name.split(".")
                if top == "ptv_hub":
                    waiting.append(rest[0])
                else:
                    assert top in HUB_DEPENDENCIES or top in sys.stdlib_module_names, (
                        f"{file}: {name}"
                    )
    assert {"manifest", "checkpoint", "builders"} <= seen


def test_only_the_command_line_and_reports_print():
    for path in sources():
        if room_of(path) in ("cli", "report"):
            continue
        calls = [
            node.lineno
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "print"
        ]
        assert not calls, f"{path} prints in lines {calls}"


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
