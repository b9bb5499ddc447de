"""Small pipelines in this process in less time: what Beam asks again and again is answered once.

Most of a small pipeline goes into questions. Which state does a DoFn have, which parameters a method, does
its source return what it should yield? What are the options (each of 400 views makes a parser)? Where was
each type hint given? How large is what a cache holds? The answers are remembered here, those about options
for the length of a test. Programs that tests start run Beam as it is.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable
from functools import lru_cache, wraps
from types import FunctionType, MethodType
from typing import Any
from weakref import WeakKeyDictionary

_parsed: dict[tuple[type, tuple[str, ...]], dict[str, Any]] = {}
_changed: set[tuple[str, ...]] = set()


def remember() -> None:
    """Let Beam remember from now on, if it has been imported; forget the options of tests before."""
    _parsed.clear()
    for (module, *path), changed in _CHANGES.items():
        owner: Any = sys.modules.get(f"apache_beam.{module}")
        if owner is None:
            continue
        for name in path[:-1]:
            owner = getattr(owner, name)
        if (module, *path) not in _changed:
            _changed.add((module, *path))
            setattr(owner, path[-1], changed(getattr(owner, path[-1])))


def _once_for_each_class(get_dofn_specs: Any) -> Any:
    without_state: set[type] = set()

    @wraps(get_dofn_specs)
    def specs(dofn: Any) -> tuple[set[Any], set[Any]]:
        if type(dofn) in without_state:
            return set(), set()
        found = get_dofn_specs(dofn)
        if found == (set(), set()):
            without_state.add(type(dofn))
        return found

    return specs


def _once_for_each_function(ask: Any) -> Any:
    """Answers of functions and methods, which differ in the parameter self."""
    answers: dict[type, WeakKeyDictionary[Any, Any]] = {
        FunctionType: WeakKeyDictionary(),
        MethodType: WeakKeyDictionary(),
    }

    @wraps(ask)
    def answer(function: Any) -> Any:
        known = answers.get(type(function))
        plain = getattr(function, "__func__", function)
        if known is None or not isinstance(plain, FunctionType):
            return ask(function)
        if plain not in known:
            known[plain] = ask(function)
        return known[plain]

    return answer


def _parsed_once(init: Any) -> Any:
    @wraps(init)
    def initialise(self: Any, flags: Any = None, **kwargs: Any) -> None:
        key = (type(self), tuple(flags)) if isinstance(flags, list) else None
        known = _parsed.get(key) if key is not None else None
        if known is None:
            init(self, flags, **kwargs)
            if key is not None:
                _parsed[key] = _copied(vars(self._visible_options))
            return
        self._flags = flags
        self._visible_options = Namespace(**_copied(known))
        self._all_options = kwargs
        for name in self._visible_option_list():
            kwargs.setdefault(name, getattr(self._visible_options, name))

    return initialise


def _copied(options: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.copy() if isinstance(value, list | dict) else value for name, value in options.items()
    }


def _always(answer: Callable[..., Any]) -> Callable[[Any], Any]:
    return lambda original: answer


_CHANGES: dict[tuple[str, ...], Callable[[Any], Any]] = {
    ("transforms.userstate", "get_dofn_specs"): _once_for_each_class,
    ("typehints.decorators", "get_signature"): _once_for_each_function,
    ("transforms.core", "get_signature"): _once_for_each_function,
    ("transforms.core", "_check_fn_use_yield_and_return"): _once_for_each_function,
    ("typehints.decorators", "IOTypeHints", "_make_origin"): _always(
        staticmethod(lambda bases, tb=True, msg=(): [])
    ),
    ("typehints.typehints", "is_consistent_with"): lru_cache(maxsize=4096),
    ("options.pipeline_options", "PipelineOptions", "__init__"): _parsed_once,
    ("options.pipeline_options", "PipelineOptions", "_visible_option_list"): _always(
        lambda self: sorted(vars(self._visible_options))
    ),
    ("runners.worker.statecache", "get_deep_size"): _always(lambda *objects: 1),
}
"""What stands in a module of Beam, and what is made of it."""
