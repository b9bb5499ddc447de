"""Third-party modules that print to stdout do not do so in a command, whose output programs read."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_PRINTING = (
    "cloudfiles.compression",
    "cloudfiles.secrets",
    "cloudvolume.datasource.precomputed.image.rx",
)
"""Modules that print what they raise as well, or where they looked for credentials."""


@contextmanager
def quiet_modules() -> Iterator[None]:
    """Keep them from printing, whether they are imported before or meanwhile; they print again afterwards."""
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    for name in _PRINTING:
        if name in sys.modules:
            _silence(sys.modules[name])
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in _PRINTING:
            vars(sys.modules.get(name, finder)).pop("print", None)


def _silence(module: ModuleType) -> None:
    vars(module)["print"] = lambda *_, **__: None


class _Finder(MetaPathFinder):
    """Finds these modules as Python does, and silences them when they are loaded."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The specification of such a module, or None."""
        if name not in _PRINTING:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            _silence_when_loaded(spec.loader)
        return spec


def _silence_when_loaded(loader: Loader) -> None:
    load = loader.exec_module

    def load_silenced(module: ModuleType) -> None:
        load(module)
        _silence(module)

    loader.exec_module = load_silenced  # type: ignore[method-assign]
