"""The YAML of dataset files: duplicate keys, documents without bounds, values of odd types, secrets."""

from __future__ import annotations

import pickle
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml

from beam_ingest.dataset import Dataset
from beam_ingest.errors import ConfigError, InputError
from beam_ingest.format.grid import ChunkGrid
from beam_ingest.ingest.job import IngestJob
from beam_ingest.redact import redacted
from beam_ingest.runners.dataflow import check_places
from beam_ingest.stages.failures import Failure
from tests.conftest import Cli, store_of
from tests.graphs import read_cells
from tests.test_bad_dataset import change, refused

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("extra", "key", "first"),
    [
        ("  EDGES: ./other\n", "EDGES", 2),
        ("  'EDGES': ./other\n", "EDGES", 2),
        ("data_source: {}\n", "da", 1),
    ],
)
def test_a_key_that_is_there_twice(cli: Cli, dataset: Path, extra: str, key: str, first: int) -> None:
    text = dataset.read_text()
    assert text.startswith("data_source:\n  EDGES: ")
    head, tail = text.split("graph_config:")
    dataset.write_text(f"{head}{extra}graph_config:{tail}")
    line = head.count("\n") + 1
    said = refused(cli, dataset)
    assert said.startswith(f"{dataset}: line {line}, column ")
    assert f": the key {key}" in said
    assert said.endswith(f" is there twice, in line {first} and in line {line}; remove one")


def test_a_key_that_a_merge_brings_may_be_replaced(dataset: Path) -> None:
    text = "x: &common {EDGES: ./a, COMPONENTS: ./c}\ndata_source: {<<: *common, EDGES: ./b, WATERSHED: ./w}"
    content = text.replace("x: ", "mesh_config: ") + "\ngraph_config: {CHUNK_SIZE: [1, 1, 1]}\n"
    read = Dataset.from_text(content, str(dataset))
    expected = yaml.safe_load(content)["data_source"]
    assert str(read.edges).endswith(expected["EDGES"].removeprefix("."))
    assert str(read.components).endswith(expected["COMPONENTS"].removeprefix("."))


def _laughs(first: str, each: str) -> str:
    lines = [f"a0: &a0 {first}"]
    lines += [f"a{n}: &a{n} {each.format(', '.join([f'*a{n - 1}'] * 9))}" for n in range(1, 30)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_laughs("[lol]", "[{}]"), "its aliases expand to more than 100,000 characters"),
        (_laughs("{k: v}", "{{<<: [{}]}}"), "its aliases expand to more than 100,000 characters"),
        (
            "\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 2000))]),
            "more than 50 deep",
        ),
        ("a: &a [*a]\n", "an alias refers to something that contains it"),
        ("a: &a {b: {<<: *a}}\n", "an alias refers to something that contains it"),
        ("[" * 90_000, "it is nested more than 50 deep"),
        ("{a: " * 20_000, "it is nested more than 50 deep"),
        ("a: " + "x" * 100_001, "expected a dataset file of up to 100,000 characters, found more"),
        ("# " + "x" * 10_000_000, "expected a dataset file of up to 100,000 characters, found more"),
        (f"data_source: [{'x' * 90_000}]", "found list ['xxx"),
        (f"? {'x' * 90_000}\n: 1", "unknown key 'xxx"),
    ],
    ids=[
        "lists",
        "merges",
        "chain",
        "itself",
        "merges itself",
        "deep",
        "deep maps",
        "long",
        "huge",
        "v",
        "k",
    ],
)
def test_documents_without_bounds(cli: Cli, dataset: Path, text: str, message: str) -> None:
    dataset.write_text(text)
    line = refused(cli, dataset)
    assert message in line
    assert len(line) < 1000


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("2020-01-01", "expected a text, found date datetime.date(2020, 1, 1)"),
        ("2020-13-45", "expected a value of type timestamp, found another"),
        ("!!timestamp x", "expected a value of type timestamp, found another"),
        ("!!int x", "expected a value of type int, found another"),
        ("!!int ''", "expected a value of type int, found another"),
        ("!!float x", "expected a value of type float, found another"),
        ("!!bool x", "expected a value of type bool, found another"),
        ("!!binary é", "not YAML: line 2, column 10: failed to convert base64 data into ascii"),
        ("!!binary aGVsbG8=", "expected a text, found bytes b'hello'"),
        ("!!set {a, b}", "expected a text, found set"),
        ("!!python/name:os.system", "could not determine a constructor for the tag"),
        ('"a\\0b"', "expected a text of one line and up to 4,096 characters, found str 'a\\x00b'"),
        ('"a\\nb"', "expected a text of one line and up to 4,096 characters, found str"),
        ('"a\\ud800b"', "expected a text of one line and up to 4,096 characters, found str 'a\\ud800b'"),
        ("x" * 5000, "expected a text of one line and up to 4,096 characters, found str 'xxx"),
        ("9" * 5000, "found "),
        (".nan", "expected a text, found float nan"),
        ("? [a]\n  : b", "found unhashable key"),
    ],
)
def test_values_of_odd_types(cli: Cli, dataset: Path, value: str, message: str) -> None:
    lines = dataset.read_text().splitlines(keepends=True)
    assert lines[1].startswith("  EDGES: ")
    dataset.write_text("".join([lines[0], f"  EDGES: {value}\n".replace("EDGES: ?", "?"), *lines[2:]]))
    line = refused(cli, dataset)
    assert line.startswith(f"{dataset}: ")
    assert message in line
    assert len(line) < 1000


@pytest.mark.parametrize("key", ["CHUNK_SIZE", "LAYER_ID_BITS", "SPATIAL_BITS", "ROOT_COUNTERS"])
def test_numbers_that_fit_nowhere(cli: Cli, dataset: Path, key: str) -> None:
    number = 10**400
    change(dataset, f"graph_config.{key}", [number] * 3 if key == "CHUNK_SIZE" else number)
    line = refused(cli, dataset)
    assert f"graph_config.{key}: expected " in line
    assert len(line) < 1000


# Secrets


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"https://me:{SECRET}@host/a@b: gone", "https://host/a@b: gone"),
        (f"s3://https://me:{SECRET}@host/bucket", "s3://https://host/bucket"),
        (f"precomputed://https://{SECRET}@host/x", "precomputed://https://host/x"),
        (f"https://me:p@{SECRET}@host/", "https://host/"),
        (f"https://h/x?X-Goog-Signature={SECRET}&n=1", "https://h/x?X-Goog-Signature=***&n=1"),
        (f"https://h/x?n=1&sig={SECRET}", "https://h/x?n=1&sig=***"),
        (f"Max retries exceeded with url: /e?access_token={SECRET}", None),
        (f"https://h/x?AWSAccessKeyId={SECRET}", "https://h/x?AWSAccessKeyId=***"),
        ("gs://bucket/a@b, me@host and a=b", "gs://bucket/a@b, me@host and a=b"),
    ],
)
def test_secrets_of_urls(text: str, expected: str | None) -> None:
    assert SECRET not in redacted(text)
    assert expected is None or redacted(text) == expected
    for error in (
        ConfigError(text),
        InputError(text, "0_0_0", "x", text),
        pickle.loads(pickle.dumps(ConfigError(text))),
    ):
        assert SECRET not in str(error)
        assert SECRET not in repr(error)
    assert SECRET not in repr(Failure.now(2, "0_0_0", text, text))


def _with_credentials(dataset: Path, secret: str) -> None:
    change(dataset, "backend_client.TYPE", "bigtable")
    change(
        dataset, "backend_client.CONFIG", {"PROJECT": "p", "INSTANCE": "i", "CREDENTIALS": {"key": secret}}
    )
    change(dataset, "cave_config", {"token": secret})
    change(
        dataset, "ingest_config", {"AGGLOMERATION": f"https://me:{secret}@host.invalid/agg?token={secret}"}
    )
    dataset.write_text(f"{dataset.read_text()}# password: {secret}\n")


def test_nothing_secret_is_stored_or_printed_and_another_one_resumes(cli: Cli, dataset: Path) -> None:
    _with_credentials(dataset, SECRET)
    store = f"--store=sqlite:{store_of(dataset)}"
    bad = dataset.parent / "edges" / "edges_0_0_0.proto.zst"
    content = bad.read_bytes()
    bad.write_bytes(b"")
    outcomes = [cli("graph", "g", dataset, store)]
    bad.write_bytes(content)
    outcomes += [cli(verb, "g", dataset, store, "--json") for verb in ("status", "failures")]
    _with_credentials(dataset, "rotated")
    outcomes.append(cli("graph", "g", dataset, store, "--resume"))
    assert outcomes[-1].status == 0, outcomes[-1]
    outcomes += [cli("chunk", "g", dataset, "2", "0", "0", "0", store), cli("verify", "g", dataset, store)]
    assert "note:" not in outcomes[-1].err
    for outcome in outcomes:
        assert SECRET not in outcome.out + outcome.err
        assert "rotated" not in outcome.out + outcome.err
    for value in read_cells(store_of(dataset), own=True).values():
        assert SECRET.encode() not in value
        assert b"rotated" not in value
    change(dataset, "ingest_config.AGGLOMERATION", "https://other.invalid/agg")
    assert "begun with ingest_config.AGGLOMERATION 'https://host" in cli.refused(
        "graph", "g", dataset, store, "--resume"
    )


def test_meta_names_folders_without_secrets(dataset: Path) -> None:
    """Servers open them with credentials of their own."""
    from beam_ingest.ingest.meta import encode_meta

    text = dataset.read_text().replace("EDGES: ./edges", f"EDGES: https://me:{SECRET}@host/edges")
    read = Dataset.from_text(text, str(dataset))
    assert read.edges == f"https://me:{SECRET}@host/edges"  # which is what is opened
    meta = encode_meta(read, "g")
    assert SECRET.encode() not in meta
    assert b"https://host/edges" in meta


def test_dataflow_is_given_no_secret(dataset: Path) -> None:
    """It keeps pipelines and parameters for all who may look at jobs."""
    text = dataset.read_text()
    for key in ("edges", "components", "ws"):
        text = text.replace(f": ./{key}", f": gs://bucket/{key}")
    whole = Dataset.from_text(text, "gs://bucket/dataset.yml")
    grid, place = ChunkGrid((4, 2, 2)), "bigtable:p/i/g/"
    check_places(IngestJob("g", whole, grid, (1.0, 1.0, 1.0), place))
    other = text.replace("gs://bucket/edges", f"https://me:{SECRET}@host/edges")
    job = IngestJob("g", Dataset.from_text(other, "gs://bucket/dataset.yml"), grid, (1.0, 1.0, 1.0), place)
    with pytest.raises(ConfigError, match="EDGES: expected a URL without a password or token") as raised:
        check_places(job)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("value", [SECRET, [SECRET], {"CONFIG": SECRET}, {"CONFIG": [SECRET]}])
def test_credentials_in_the_wrong_place_are_not_printed(cli: Cli, dataset: Path, value: object) -> None:
    change(dataset, "backend_client", value)
    assert SECRET not in refused(cli, dataset)


class _Absent(BaseHTTPRequestHandler):
    """Has no file."""

    def do_GET(self) -> None:
        self.send_error(404)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


def test_a_dataset_file_behind_a_token(cli: Cli, dataset: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), _Absent) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        place = f"me:{SECRET}@127.0.0.1:{server.server_port}"
        url = f"http://{place}/dataset.yml?token={SECRET}"
        line = cli.refused("status", "g", url)
        server.shutdown()
    assert line == f"{url.replace(f'me:{SECRET}@', '').replace(SECRET, '***')}: no such dataset file"
    read = Dataset.from_text(dataset.read_text(), url)
    assert SECRET not in read.path
