"""Why a pipeline failed: our own errors out of what Beam makes of them."""

from __future__ import annotations

import re

from beam_ingest import errors
from beam_ingest.errors import BeamIngestError, RunError
from beam_ingest.runners import portable


def reason(error: BaseException) -> BaseException:
    """Why a pipeline failed: one of our errors if it can be told, or else `error` itself."""
    return known_error(error) or _out_of_memory(error) or portable.explained(error) or error


def _out_of_memory(error: BaseException) -> RunError | None:
    """Memory that was not to be had, also in another process: Python's and numpy's error, by their names."""
    text = re.sub(r" \[while running .*", "", f"{type(error).__name__}: {error}")
    lines = re.findall(r"(?:^|: )[\w.]*MemoryError(?:: (.*))?$", text, re.MULTILINE)
    if not lines:
        return None
    said = lines[-1]
    return RunError(
        f"out of memory{': ' if said else ''}{said}; use fewer workers, or a machine with more memory"
    )


def known_error(error: BaseException) -> BeamIngestError | None:
    """One of our errors, also out of the text of another process's traceback."""
    if isinstance(error, RunError):
        return error
    text = str(error)
    found = re.findall(r"beam_ingest[\w.]*\.(\w+Error): (.*)", text)
    if found:
        name, message = found[-1]
    elif isinstance(error, BeamIngestError):
        name, message = type(error).__name__, text
    else:
        return None
    kind = getattr(errors, name, BeamIngestError)
    message = re.sub(r" \[while running .*", "", message)
    return kind(message) if kind is not errors.InputError else BeamIngestError(message)
