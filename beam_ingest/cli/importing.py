"""What a command needs is imported when it runs, and only then."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from beam_ingest.interrupt import during_imports


@contextmanager
def importing() -> Iterator[None]:
    """Import quickly and cleanly: Ctrl-C ends the program at once, and no garbage is looked for.

    Imports make a million objects, and drop none.
    """
    gc.disable()
    try:
        with during_imports():
            yield
    finally:
        gc.freeze()
        gc.enable()
