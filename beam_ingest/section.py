"""One mapping of a dataset file, whose values are taken out by type; what is wrong is named in one line."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, NoReturn

from beam_ingest import document
from beam_ingest.errors import ConfigError
from beam_ingest.files import PlaceError, folder_of, resolve

_SECRET_SECTIONS = ("backend_client", "backend_client.CONFIG")
_MOST_NUMBER = (1 << 31) - 1
_MOST_TEXT = 4096
_MISSING: Any = object()


class Section:
    """One mapping of the file, whose values are taken out by type.

    Args:
      path: of the file, for messages.
      name: where the mapping stands, such as ``graph_config``; nothing for the whole file.
      content: what stands there.
      keys: that it may have.
      required: whether it has to be there.
      foreign: those of `keys` that other programs read.

    Raises:
      ConfigError: when it is no mapping, or has other keys.
    """

    def __init__(
        self,
        path: str,
        name: str,
        content: object,
        keys: tuple[str, ...],
        required: bool = False,
        foreign: tuple[str, ...] = (),
    ) -> None:
        self._path = path
        self._name = name
        self._where = f"{path}: {name}" if name else path
        if content is None and not required:
            content = {}
        if not isinstance(content, dict):
            ours = [key for key in keys if key not in foreign]
            what = f"expected a mapping of {', '.join(ours)}" if ours else "expected a mapping"
            # Where a mapping with a secret should stand, a text may be one.
            found = (
                f"a value of type {type(content).__name__}" if name in _SECRET_SECTIONS else _kind(content)
            )
            raise ConfigError(f"{self._where}: {what}, found {found}")
        self.content: Mapping[str, Any] = content
        for key in content:
            if key not in keys:
                near = difflib.get_close_matches(document.shortened(str(key)), keys, 1)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(keys) or 'none'}"
                raise ConfigError(f"{self._where}: unknown key {document.shown(key)}; {hint}")

    def section(self, key: str, keys: tuple[str, ...], required: bool = False) -> Section:
        """The mapping under `key`; an absent one is empty unless it is required."""
        name = f"{self._name}.{key}" if self._name else key
        if required and key not in self.content:
            raise ConfigError(f"{self._where}: the key {key} is missing")
        return Section(self._path, name, self.content.get(key), keys, required)

    def wrong(self, key: str, expected: str) -> NoReturn:
        """Refuse the value under `key`."""
        found = _kind(self.content[key])
        raise ConfigError(f"{self._where}.{key}: expected {expected}, found {found}")

    def _value(self, key: str, default: Any) -> Any:
        value = self.content.get(key)
        if value is not None:
            return value
        if default is _MISSING:
            raise ConfigError(f"{self._where}: the key {key} is missing")
        return default

    def integer(self, key: str, default: Any = _MISSING) -> Any:
        """A whole number from 0."""
        value = self._value(key, default)
        if value is not default and not _is_number(value, 0):
            self.wrong(key, "a whole number")
        return value

    def flag(self, key: str) -> bool:
        """True or false; false when it is not there."""
        value = self._value(key, False)
        if not isinstance(value, bool):
            self.wrong(key, "true or false")
        return value

    def text(self, key: str, default: Any = _MISSING) -> Any:
        """A text."""
        value = self._value(key, default)
        if value is not default and not isinstance(value, str):
            self.wrong(key, "a text")
        if isinstance(value, str) and not (value.isprintable() and len(value) <= _MOST_TEXT):
            self.wrong(key, f"a text of one line and up to {_MOST_TEXT:,} characters")
        return value

    def triple(self, key: str) -> tuple[int, int, int]:
        """Three whole numbers from 1: along x, y and z."""
        value = self._value(key, _MISSING)
        if not isinstance(value, list) or len(value) != 3 or not all(_is_number(n, 1) for n in value):
            self.wrong(key, "three whole numbers above 0, [x, y, z]")
        return (value[0], value[1], value[2])

    def url(self, key: str, default: Any = _MISSING) -> Any:
        """A URL as `resolve` gives it; relative paths begin in the file's folder."""
        if self.content.get(key) == "":  # PyChunkedGraph's own examples leave paths empty
            self.content = {k: v for k, v in self.content.items() if k != key}
        value = self.text(key, default)
        if value is default:
            return value
        try:
            return resolve(value, folder_of(self._path))
        except PlaceError as error:
            self.wrong(key, error.expected)


def _is_number(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= _MOST_NUMBER


def _kind(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping"
    return "nothing" if value is None else f"{type(value).__name__} {document.shown(value)}"
