"""Whatever a dataset file, arguments and stored rows hold: one line, exit 1 or 2, never a traceback."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st

from beam_ingest.cli import main
from tests.conftest import store_of
from tests.examples import examples

FUZZ = examples(20, suppress_health_check=list(HealthCheck), print_blob=True)


def told(*arguments: str | Path) -> tuple[int, str, str]:
    """Run a command that ends with any status but by an exception; a failed one says why in one line."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main([str(argument) for argument in arguments])
    said = err.getvalue()
    assert status in (0, 1, 2), (status, said)
    assert "Traceback" not in said
    lines = [line for line in said.splitlines() if not line.startswith(("layer ", "note:"))]
    if status == 2:
        (line,) = lines
        assert line.startswith("beam-ingest: ")
        assert len(line) < 10_000
    return status, out.getvalue(), said


# Dataset files

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(10**400), max_value=10**400),
    st.floats(),
    st.text(max_size=20),
    st.dates(),
    st.datetimes(),
    st.binary(max_size=5),
    st.sampled_from(
        ["", "x" * 5000, "a/" * 3000, "\0", "\ud800", "file://", "gs://", "://", "~", "..", "%00"]
    ),
    st.lists(st.integers(-5, 5), max_size=4),
    st.sets(st.integers(0, 3), max_size=2),
    st.dictionaries(st.one_of(st.text(max_size=3), st.integers()), st.integers(), max_size=2),
)
KEYS = (
    *(("data_source", key) for key in ("EDGES", "COMPONENTS", "WATERSHED", "DATA_VERSION", "CV_MIP")),
    *(
        ("graph_config", key)
        for key in ("CHUNK_SIZE", "FANOUT", "LAYER_ID_BITS", "SPATIAL_BITS", "ID_PREFIX")
    ),
    *(("graph_config", key) for key in ("OVERWRITE", "ROOT_COUNTERS", "chunk_size")),
    *(("ingest_config", key) for key in ("AGGLOMERATION", "CLUSTER")),
    *(("backend_client", key) for key in ("TYPE", "CONFIG", "x")),
    *((section, None) for section in ("data_source", "graph_config", "ingest_config", "backend_client", "x")),
)
TAGS = (
    "",
    "!!int",
    "!!float",
    "!!bool",
    "!!timestamp",
    "!!binary",
    "!!null",
    "!!set",
    "!!omap",
    "!!pairs",
    "!x",
)
SCRAPS = (
    "{",
    "}",
    "[",
    "]",
    "&a",
    "*a",
    "<<:",
    "? ",
    ": ",
    "- ",
    "|",
    ">",
    '"',
    "'",
    "#",
    "%",
    "@",
    "\t",
    "---",
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.conftest import small_dataset
    from tests.oracle.datasets import write

    return write(small_dataset(), tmp_path_factory.mktemp("fuzz"))


@FUZZ
@given(key=st.sampled_from(KEYS), value=ODD, raw=st.booleans())
def test_values_of_dataset_files(sound: Path, key: tuple[str, str | None], value: Any, raw: bool) -> None:
    content = yaml.safe_load(sound.read_text())
    section, name = key
    if name is None:
        content[section] = value
    else:
        content.setdefault(section, {})[name] = value
    path = sound.parent / "changed.yml"
    path.write_bytes(yaml.safe_dump(content, allow_unicode=False).encode(errors="surrogatepass"))
    told("status", "g", path)
    told("graph", "g", path, "--resume", *(["--raw"] if raw else []))
    store_of(sound).unlink(missing_ok=True)


@FUZZ
@given(data=st.data())
def test_text_of_dataset_files(sound: Path, data: st.DataObject) -> None:
    text = sound.read_text()
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        tags = st.sampled_from([f" {tag} " for tag in TAGS])
        put = data.draw(st.one_of(st.sampled_from(SCRAPS), st.text(max_size=5), tags))
        text = text[:at] + put + text[at + data.draw(st.integers(0, 5)) :]
    path = sound.parent / "changed.yml"
    path.write_bytes(text.encode(errors="surrogatepass"))
    told("status", "g", path)


@FUZZ
@given(content=st.binary(max_size=200))
def test_bytes_of_dataset_files(sound: Path, content: bytes) -> None:
    path = sound.parent / "changed.yml"
    path.write_bytes(content)
    assert told("status", "g", path)[0] == 2


# Arguments

WORD = st.one_of(
    st.sampled_from(
        [
            *(
                "graph",
                "prepare",
                "check",
                "status",
                "failures",
                "chunk",
                "launch",
                "cancel",
                "verify",
                "sample",
            ),
            *(
                "g",
                "",
                "-",
                "--",
                "-1",
                "1",
                "x=y",
                "ä",
                "\0",
                "a" * 5000,
                "--json",
                "--raw",
                "--test",
                "--all",
            ),
            *("--store", "--store=sqlite:", "--store=bigtable:", "--store=bigtable:p/i/t", "--store=x:y"),
            *(
                "--sample",
                "--sample=0",
                "--settings",
                "--settings=/",
                "--seed=-1",
                "--chunks",
                "--graph-version=4",
            ),
            *(
                "--bigtable-tablets=0",
                "--direct_num_workers=-1",
                "--runner=x",
                "--temp_location=x",
                "--watch",
            ),
            *("/dev/null", "file://x", "gs:/x", "://", "~/x", "."),
        ]
    ),
    st.text(max_size=4),
)


@FUZZ
@given(words=st.lists(WORD, max_size=6))
@example(words=["chunk", "g"])
@example(words=["status", "g", "\0"])
@example(words=["status", "g", "a\r\nb\x1b[2J"])
@example(words=["status", "g", "/dev/null", "--store=sqlite:\0"])
def test_arguments(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    if "sample" in words[:1]:
        words = [*words, "--chunks=1"]  # lest one be written
    status, _, _ = told(*words)
    assert status != 0 or {"-h", "--help"} & set(words)


# Stored rows

VALUE = st.one_of(
    st.binary(max_size=100),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.floats(allow_nan=False),
    st.sampled_from(
        [b"{}", b"[]", b"null", b"1e999", b"[" * 20_000, b'{"chunks": [1, 2]}', bytes(72), b"\xff" * 72]
    ),
)
JSON = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=9),
    st.lists(st.integers(), max_size=3),
)
MANIFEST, PROGRESS, FAILED = b"beam_ingest", b"beam_ingest/0", b"beam_ingest/failed/0"


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset whose graph was begun, not finished."""
    from tests.conftest import small_dataset
    from tests.oracle.datasets import write

    dataset = write(small_dataset(), tmp_path_factory.mktemp("begun"))
    bad = dataset.parent / "edges" / "edges_1_0_0.proto.zst"
    content = bad.read_bytes()
    bad.write_bytes(b"")
    assert told("graph", "g", dataset)[0] == 1
    bad.write_bytes(content)
    whole = dataset.parent / "whole.sqlite"
    with closing(sqlite3.connect(store_of(dataset))) as begun, closing(sqlite3.connect(whole)) as copy:
        begun.backup(copy)
    return dataset


def spoil(dataset: Path, prefix: bytes, column: str, value: Any) -> None:
    """Put a value into the first row whose key begins so."""
    store = store_of(dataset)
    for file in dataset.parent.glob("graph.sqlite*"):
        file.unlink()
    shutil.copy(dataset.parent / "whole.sqlite", store)
    with closing(sqlite3.connect(store)) as connection:
        where = "row_key >= ? ORDER BY row_key, qualifier LIMIT 1"
        (row,) = connection.execute(f"SELECT row_key, qualifier FROM cells WHERE {where}", (prefix,))
        change = f"UPDATE cells SET {column} = ? WHERE row_key = ? AND qualifier = ?"
        assert connection.execute(change, (value, *row)).rowcount == 1
        connection.commit()


def told_of(dataset: Path) -> None:
    told("status", "g", dataset)
    told("status", "g", dataset, "--json")
    told("failures", "g", dataset)
    told("chunk", "g", dataset, "2", "0", "0", "0")
    told("graph", "g", dataset, "--resume", "--require-files")  # other options: the comparison alone


@pytest.mark.slow
@FUZZ
@given(
    prefix=st.sampled_from([MANIFEST, PROGRESS, FAILED]),
    column=st.sampled_from(["value", "value", "value", "family", "qualifier", "row_key", "timestamp"]),
    value=VALUE,
)
def test_rows_of_a_store(begun: Path, prefix: bytes, column: str, value: Any) -> None:
    spoil(begun, prefix, column, value)
    told_of(begun)


@FUZZ
@given(data=st.data())
def test_json_in_rows_of_a_store(begun: Path, data: st.DataObject) -> None:
    prefix = data.draw(st.sampled_from([MANIFEST, FAILED]))
    with closing(sqlite3.connect(begun.parent / "whole.sqlite")) as connection:
        query = "SELECT value FROM cells WHERE row_key >= ? ORDER BY row_key LIMIT 1"
        content = json.loads(connection.execute(query, (prefix,)).fetchone()[0])
    places: list[Any] = [content, *(part for part in content.values() if isinstance(part, dict | list))]
    place = data.draw(st.sampled_from(places))
    keys = range(len(place)) if isinstance(place, list) else [*place, "other"]
    key = data.draw(st.sampled_from(list(keys)))
    if isinstance(place, dict) and key in place and data.draw(st.booleans()):
        del place[key]
    else:
        place[key] = data.draw(JSON)
    spoil(begun, prefix, "value", json.dumps(content).encode())
    told_of(begun)


@pytest.mark.parametrize(
    ("prefix", "value"),
    [(MANIFEST, b"{}"), (PROGRESS, b"short"), (FAILED, b"[]"), (FAILED, "text"), (PROGRESS, 7)],
)
def test_a_damaged_row_is_named(begun: Path, prefix: bytes, value: Any) -> None:
    spoil(begun, prefix, "value", value)
    status, _, said = told("status", "g", begun)
    assert (status, said.count("\n")) == (1, 1), said
    assert said.startswith(f"beam-ingest: {store_of(begun)}: ")
    assert "row beam_ingest/" in said or prefix == MANIFEST
    told("graph", "g", begun, "--resume")
