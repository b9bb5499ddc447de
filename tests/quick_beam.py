"""Pipelines in this process in a third of the time: what Beam asks again and again is answered once.

Most of a small pipeline goes into two questions. Which state does a DoFn have? That is read from every
method of it, ten times for each transform. What are the options? For each of 400 views of them, a parser of
command lines is made. Both are remembered here, options for the length of a test. Programs that tests start
run Beam as it is.
"""

from __future__ import annotations

import copy
import sys
from functools import wraps
from typing import Any

_parsed: dict[tuple[type, tuple[str, ...]], Any] = {}


def remember() -> None:
    """Let Beam remember from now on, if it has been imported; forget the options of tests before."""
    _parsed.clear()
    userstate = sys.modules.get("apache_beam.transforms.userstate")
    options = sys.modules.get("apache_beam.options.pipeline_options")
    if userstate is not None and not hasattr(userstate.get_dofn_specs, "__wrapped__"):
        userstate.get_dofn_specs = _once_for_each_class(userstate.get_dofn_specs)  # type: ignore[attr-defined]
    if options is not None and not hasattr(options.PipelineOptions.__init__, "__wrapped__"):
        options.PipelineOptions.__init__ = _parsed_once(options.PipelineOptions.__init__)


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


def _parsed_once(init: Any) -> Any:
    @wraps(init)
    def initialise(self: Any, flags: Any = None, **kwargs: Any) -> None:
        key = (type(self), tuple(flags)) if isinstance(flags, list) else None
        known = _parsed.get(key) if key is not None else None
        if known is None:
            init(self, flags, **kwargs)
            if key is not None:
                _parsed[key] = copy.deepcopy(self._visible_options)
            return
        self._flags = flags
        self._visible_options = copy.deepcopy(known)
        self._all_options = kwargs
        for name in self._visible_option_list():
            kwargs.setdefault(name, getattr(self._visible_options, name))

    return initialise
