"""The commands of docs/runners.md."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "runners.md"


def commands(first: str = "", containing: str = "") -> list[list[str]]:
    """The commands of the page that begin with `first` and contain `containing`, in words."""
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.replace("\\\n", "").splitlines()]
    found = map(shlex.split, lines)
    return [words for words in found if words[0].startswith(first) and containing in " ".join(words)]


def with_options(words: list[str], **values: object) -> list[str]:
    """The words with other values of their options; each has to be there."""
    for name, value in values.items():
        (at,) = [i for i, word in enumerate(words) if word.replace("-", "_").startswith(f"__{name}=")]
        words = [*words[:at], f"{words[at].partition('=')[0]}={value}", *words[at + 1 :]]
    return words
