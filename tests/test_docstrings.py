"""What the reference shows says what it must: parameters, errors, shapes, and each field."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator

import pytest

import ptv_hub
from tools import reference

FUNCTIONS = [
    name
    for name in sorted(set(dir(ptv_hub)) - {"ModelName"})
    if inspect.isroutine(getattr(ptv_hub, name))
]
CLASSES = [name for name in reference.records() if not name.startswith("errors.")]
SHAPE = re.compile(r"\((?:\d|[A-Z]|clips|windows|rows|views|count)[\w' +*/-]*,")
"""As in ``(B, 3, T, H, W)`` or ``(N, 5)``."""


def described(function: Callable[..., object]) -> str:
    text = inspect.getdoc(function)
    assert text, function.__qualname__
    return text


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_names_its_parameters_and_its_errors(name):
    function = getattr(ptv_hub, name)
    text = described(function)
    for parameter in inspect.signature(function).parameters:
        assert re.search(rf"\b{parameter}\b", text), parameter
    assert re.search(r"^Raises:$", text, re.MULTILINE)


def own_members(kind: type) -> Iterator[tuple[str, Callable[..., object]]]:
    """Public methods and properties, inherited ones of this package too."""
    for base in kind.__mro__:
        if not base.__module__.startswith("ptv_hub"):
            continue
        for name, value in vars(base).items():
            inner = value.fget if isinstance(value, property) else value
            inner = getattr(inner, "__func__", inner)
            if not name.startswith("_") and inspect.isfunction(inner):
                yield name, inner


def undescribed(kind: type) -> list[str]:
    """Fields without a sentence behind them."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(body, ast.ClassDef)
    found = []
    for one, following in zip(body.body, [*body.body[1:], None], strict=True):
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
            text = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
            if not text and not one.target.id.startswith("_"):
                found.append(one.target.id)
    return found


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_says_what_it_is_and_its_members_what_they_hold(name):
    kind = reference.found(name)
    text = described(kind)
    for field in undescribed(kind):
        assert re.search(rf"\b{field}\b", text), field
    for member, function in own_members(kind):
        said = described(function)
        if "Tensor" in str(inspect.signature(function)) and member != "forward":
            assert SHAPE.search(said), member
