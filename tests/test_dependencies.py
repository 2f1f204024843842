"""What the package imports is declared in pyproject.toml, and its reason is told."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from ptv_hub.environment import EXTRAS
from tests import ROOT
from tests.test_architecture import imports, sources

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DISTRIBUTIONS = {
    **{name: name for name in ("av", "filelock", "fvcore", "jinja2", "lightning", "matplotlib")},
    "numpy": "numpy",
    "pydantic": "pydantic",
    **{name: name for name in ("onnx", "onnxruntime", "openvino", "pandas", "pyarrow")},
    **{name: name for name in ("pytorchvideo", "requests", "rich", "safetensors", "scipy")},
    **{
        name: name
        for name in ("tomli", "torch", "torchcodec", "torchvision", "tqdm", "transformers", "typer")
    },
    "urllib3": "urllib3",
    "PIL": "pillow",
    "huggingface_hub": "huggingface-hub",
    "sklearn": "scikit-learn",
    "typing_extensions": "typing-extensions",
    "yaml": "pyyaml",
}
"""Module -> the distribution that brings it: a new import is a new row."""


def imported(paths: list[Path]) -> set[str]:
    """The packages of others that files import, at the top or within functions."""
    names = {name.split(".")[0] for path in paths for name in imports(path)}
    return names - set(sys.stdlib_module_names) - {"ptv_hub"}


def normal(requirement: str) -> str:
    """The distribution that a requirement names, as indices compare names."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def undeclared(modules: set[str], project: dict) -> set[str]:
    """Those of the modules whose distribution neither a dependency nor a user's extra names."""
    extras = project["optional-dependencies"]
    of_users = [one for name, extra in extras.items() if name != "dev" for one in extra]
    declared = {normal(one) for one in [*project["dependencies"], *of_users]}
    return {module for module in modules if DISTRIBUTIONS.get(module) not in declared}


def test_every_package_that_is_imported_is_declared(project):
    modules = imported(sources())
    assert modules == set(DISTRIBUTIONS)
    assert undeclared(modules, project) == set()


def test_a_package_that_another_brings_is_not_thereby_declared(project):
    without = [one for one in project["dependencies"] if normal(one) != "fvcore"]
    assert undeclared(imported(sources()), {**project, "dependencies": without}) == {"fvcore"}


def test_every_dependency_has_its_reason(project):
    told = (ROOT / "docs" / "dependencies.md").read_text()
    extras = project["optional-dependencies"].values()
    for one in [*project["dependencies"], *(one for extra in extras for one in extra)]:
        name = normal(one)
        if name != "ptv-hub":
            assert re.search(rf"\b{re.escape(name)}\b", told.lower().replace("_", "-")), name


def test_the_extras_that_are_told_are_those_there_are(project):
    extras = project["optional-dependencies"]
    named = {name: {normal(one) for one in extra} for name, extra in extras.items()}
    del named["dev"]
    assert {name: set(brought) for name, brought in EXTRAS.items()} == named
