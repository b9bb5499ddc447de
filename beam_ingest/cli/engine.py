"""Engines that a run needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from beam_ingest.cli.log import logged
from beam_ingest.runners import portable


@contextmanager
def engine(options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """`beam_ingest.runners.portable.engine`, without what it says while it starts and stops."""
    with ExitStack() as stack:
        with logged():
            given = stack.enter_context(portable.engine(options))
        try:
            yield given
        finally:
            with logged():
                stack.close()
