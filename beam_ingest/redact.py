"""Passwords and tokens in URLs: taken out of everything that is printed or stored.

Files are opened with the URL as it was given; messages, rows of the table and Dataflow see it without them.
"""

from __future__ import annotations

import re

_USERINFO = re.compile(r"(?<=://)[^/\s]*@")
_PARAMETER = re.compile(
    r"([?&#;][^=&\s]*(?:token|secret|sig|passw|pwd|credential|key|auth)[^=&\s]*=)[^&#\s'\"]*[^&#\s'\":,;]",
    re.IGNORECASE,
)
"""A parameter whose name says that it is a secret, as in signed URLs of Google, Amazon and Azure."""


def redacted(text: str) -> str:
    """The same text without what stands before ``@`` in its URLs, and with ``***`` for tokens in queries.

    >>> redacted("https://user:password@host/edges?token=abc&page=1: no such file")
    'https://host/edges?token=***&page=1: no such file'
    """
    return _PARAMETER.sub(r"\1***", _USERINFO.sub("", text)) if "://" in text or "=" in text else text
