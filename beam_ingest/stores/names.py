"""What Bigtable takes as names, so that a wrong one is refused before any connection is made.

Source: the comments of google.bigtable.admin.v2 (``Table.name``, ``CreateTableRequest.table_id``,
``Instance.name``, ``CreateInstanceRequest.instance_id``, ``AppProfile.name``), and Resource Manager's rules
of project ids. Names shorter than the service takes are let through: an emulator takes them.
"""

from __future__ import annotations

import re

from beam_ingest.errors import ConfigError

TABLE = "[_a-zA-Z0-9][-_.a-zA-Z0-9]{0,49}"
"""Of a table: the graph id behind ID_PREFIX. A graph id has this form by itself, too."""
_TABLE_RULE = "up to 50 letters, digits, '_', '-' and '.', not beginning with '-' or '.'"
_RULES = {
    "project": (
        "([a-z0-9][-.a-z0-9]{0,99}:)?[a-z0-9][-a-z0-9]{0,29}",
        "up to 30 lower-case letters, digits and '-', behind a domain and ':' where there is one",
    ),
    "instance": (
        "[a-z][-a-z0-9]{0,32}",
        "up to 33 lower-case letters, digits and '-', beginning with a letter",
    ),
    "table": (TABLE, _TABLE_RULE),
    "app profile": (f"({TABLE})?", _TABLE_RULE),
}


def check_table(graph_id: str, prefix: str = "") -> None:
    """Refuse a graph id, or one behind a prefix, that cannot name a table.

    Raises:
      ConfigError: saying what a table may be called.
    """
    if not re.fullmatch(TABLE, graph_id):
        raise ConfigError(f"graph id {graph_id!r}: expected {_TABLE_RULE} (it names a Bigtable table)")
    if not re.fullmatch(TABLE, prefix + graph_id):
        raise ConfigError(
            f"graph id {graph_id!r} behind graph_config.ID_PREFIX {prefix!r}: expected {_TABLE_RULE} in all "
            "(they name a Bigtable table)"
        )


def bigtable_url(project: str, instance: str, table: str, app_profile: str = "") -> str:
    """``bigtable:PROJECT/INSTANCE/TABLE/APP_PROFILE``.

    Raises:
      ConfigError: when one of them is no name for Bigtable.
    """
    names = {"project": project, "instance": instance, "table": table, "app profile": app_profile}
    for kind, name in names.items():
        form, rule = _RULES[kind]
        if not re.fullmatch(form, name):
            raise ConfigError(f"the Bigtable {kind} {name!r}: expected {rule}")
    return f"bigtable:{'/'.join(names.values())}"
