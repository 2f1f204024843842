"""pytorchvideo's models, imported without what they do not use.

``pytorchvideo.models.head`` names torchvision's ``RoIAlign`` as a default of its detection
heads, which no model of the zoo has. The import of ``torchvision.ops`` alone takes as long as
that of torch: current releases bring ``torch._dynamo`` with them. So that one module gets a
stand-in, which becomes torchvision's class when somebody does call it.
"""

from __future__ import annotations

import builtins
import importlib.machinery
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

_HEAVY = "torchvision.ops"
_NEEDS_IT = "pytorchvideo.models.head"


@contextmanager
def light_imports() -> Iterator[None]:
    """Within it, pytorchvideo's models are imported without torchvision.

    Whatever does not go as expected (a later release that imports otherwise) is imported the
    ordinary way. Nothing is replaced in ``sys.modules``, and no other module is affected.
    """
    if _NEEDS_IT in sys.modules or _HEAVY in sys.modules:
        yield  # it is paid for already
        return
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder:
    """Finds one module, and gives it a loader that lets it wait for torchvision."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != _NEEDS_IT:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or not hasattr(spec.loader, "exec_module"):
            return None
        spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
        return spec


class _Loader:
    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: Any) -> ModuleType | None:
        return self._loader.create_module(spec)  # type: ignore[no-any-return]

    def exec_module(self, module: ModuleType) -> None:
        names = vars(module)
        # An import statement asks its own module's builtins for __import__.
        names["__builtins__"] = {**vars(builtins), "__import__": _import}
        self._loader.exec_module(module)


def _import(name: str, *args: Any, **kwargs: Any) -> Any:
    fromlist = args[2] if len(args) > 2 else kwargs.get("fromlist")
    if name == _HEAVY and tuple(fromlist or ()) == ("RoIAlign",):
        return SimpleNamespace(RoIAlign=_roi_align)
    return builtins.__import__(name, *args, **kwargs)


def _roi_align(*args: Any, **kwargs: Any) -> Any:
    from torchvision.ops import RoIAlign  # type: ignore[import-untyped]

    return RoIAlign(*args, **kwargs)
