"""The YAML of a dataset file: read within bounds, written down in one form, and compared by content."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from beam_ingest.errors import ConfigError
from beam_ingest.redact import redacted

MOST_CHARACTERS = 100_000
"""In a document, before and after its aliases are replaced by what they stand for."""
_MOST_DEPTH = 50
_SHOWN_CHARACTERS = 200


def parse(text: str, path: str) -> Any:
    """What the YAML document `text` says.

    Raises:
      ConfigError: when it is not YAML, too large or too deep, or names a key twice.
    """
    if len(text) > MOST_CHARACTERS:
        raise ConfigError(
            f"{path}: expected a dataset file of up to {MOST_CHARACTERS:,} characters, found more; "
            "is it another file?"
        )
    try:
        return _Loader(text).get_single_data()
    except yaml.MarkedYAMLError as error:
        at = error.problem_mark
        where = f"line {at.line + 1}, column {at.column + 1}: " if at else ""
        what = "" if isinstance(error, _Refused) else "not YAML: "
        raise ConfigError(f"{path}: {what}{where}{shortened(error.problem or error.context or '')}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None


def dump(content: Any) -> str:
    """The one text of a content: the same whatever the order of its keys, white space and comments were."""
    return str(yaml.safe_dump(content, sort_keys=True, allow_unicode=True))


def difference(
    before: str, after: str, path: str, without: tuple[str, ...] = ()
) -> tuple[str, str, str] | None:
    """The first key that two documents disagree on, as ``section.key``, and what each says of it.

    Args:
      before: a document, as `dump` wrote it.
      after: another one.
      path: for messages.
      without: sections that may differ.
    """
    contents = (parse(text, path).items() for text in (before, after))
    was, now = (dict(_leaves({k: v for k, v in some if k not in without})) for some in contents)
    for key in [*was, *(key for key in now if key not in was)]:
        said = [dump(values[key]) if key in values else None for values in (was, now)]
        if said[0] != said[1]:
            old, new = (shown(values[key]) if key in values else "nothing" for values in (was, now))
            return key, old, new
    return None


def shown(value: object) -> str:
    """A value for people: not too long, and without secrets."""
    return shortened(redacted(_Repr().repr(value)))


def shortened(text: str) -> str:
    """The text in one line, cut where it is too long."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARACTERS else f"{line[:_SHOWN_CHARACTERS]}..."


def _leaves(content: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(content, Mapping) and content:
        for key, value in content.items():
            yield from _leaves(value, f"{name}.{key}" if name else str(key))
    elif content is not None:
        yield name, content


class _Repr(reprlib.Repr):
    """``repr`` of bounded length."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxstring = self.maxother = self.maxlong = _SHOWN_CHARACTERS


class _Loader(yaml.SafeLoader):
    """Reads YAML of bounded size and depth, in which no key stands twice in one mapping."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._open = 0
        self._sizes: dict[int, tuple[int, int]] = {}
        """Characters and depth of each finished node, its aliases replaced."""

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        is_alias = self.check_event(yaml.AliasEvent)
        self._open += 1
        if self._open > _MOST_DEPTH:
            raise _Refused(f"it is nested more than {_MOST_DEPTH} deep", mark)
        node = super().compose_node(parent, index)
        self._open -= 1
        if node is None:
            return None
        if is_alias and id(node) not in self._sizes:
            raise _Refused("an alias refers to something that contains it", mark)
        if not is_alias:
            self._sizes[id(node)] = self._measured(node, mark)
        return node

    def _measured(self, node: Node, mark: yaml.Mark) -> tuple[int, int]:
        if isinstance(node, MappingNode):
            _refuse_duplicates(node)
            parts = [self._sizes[id(part)] for pair in node.value for part in pair]
        elif isinstance(node, SequenceNode):
            parts = [self._sizes[id(part)] for part in node.value]
        else:
            return len(node.value) + 1, 1
        size = 1 + sum(size for size, _ in parts)
        depth = 1 + max((depth for _, depth in parts), default=0)
        if size > MOST_CHARACTERS:
            raise _Refused(f"its aliases expand to more than {MOST_CHARACTERS:,} characters", mark)
        if depth > _MOST_DEPTH:
            raise _Refused(f"it is nested more than {_MOST_DEPTH} deep", mark)
        return size, depth

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            kind = node.tag.rpartition(":")[2]
            raise _Refused(f"expected a value of type {kind}, found another", node.start_mark) from None


def _refuse_duplicates(node: MappingNode) -> None:
    lines: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        if not isinstance(key, ScalarNode):
            continue
        name, line = (key.tag, key.value), key.start_mark.line + 1
        if name in lines:
            raise _Refused(
                f"the key {key.value} is there twice, in line {lines[name]} and in line {line}; remove one",
                key.start_mark,
            )
        lines[name] = line


class _Refused(yaml.MarkedYAMLError):
    """A document that is YAML, and not one for us."""

    def __init__(self, problem: str, mark: yaml.Mark) -> None:
        super().__init__(problem=problem, problem_mark=mark)
