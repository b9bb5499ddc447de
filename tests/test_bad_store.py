"""Stores that cannot be written, graphs that are there already, and runs that end before their time."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from beam_ingest.cli import main
from beam_ingest.dataset import Dataset
from beam_ingest.errors import StoreError
from beam_ingest.job import make_job, start_job
from beam_ingest.pipeline.sink import FLUSH_SECONDS
from beam_ingest.run import run_job
from beam_ingest.stores.sqlite import SQLiteStore
from tests.conftest import COUNTS, Cli, graph_cells, small_dataset, store_of
from tests.graphs import comparable, timestamps
from tests.oracle.cells import Cells
from tests.oracle.datasets import write

PROGRAM = [sys.executable, "-m", "beam_ingest"]


# A graph that is there already


def test_graph_exists_already(cli: Cli, dataset: Path) -> None:
    assert cli("graph", "g", dataset).status == 0
    before = store_of(dataset).read_bytes()
    line = cli.refused("graph", "g", dataset, status=1)
    assert line == (
        f"{store_of(dataset)}: a graph is there already; --resume finishes it, --overwrite builds it anew, "
        "another --store keeps it"
    )
    assert store_of(dataset).read_bytes() == before


def test_overwrite(cli: Cli, dataset: Path) -> None:
    assert cli("graph", "g", dataset, "--graph-version", "2").status == 0
    (old,) = timestamps(store_of(dataset))
    assert cli("graph", "other", dataset, "--overwrite").status == 0
    (new,) = timestamps(store_of(dataset))
    assert new > old
    assert cli("status", "other", dataset).status == 0
    cells = comparable(store_of(dataset))
    assert any(family == "4" for _, family, _ in cells), "nothing of graph version 2 is left"
    # There need be nothing to overwrite.
    store_of(dataset).unlink()
    assert cli("graph", "g", dataset, "--overwrite").status == 0


# Something else in its place


@pytest.mark.parametrize("options", [[], ["--overwrite"], ["--resume"]])
def test_store_is_a_folder(cli: Cli, dataset: Path, options: list[str]) -> None:
    store_of(dataset).mkdir()
    (store_of(dataset) / "file").touch()
    for arguments in (["graph", "g", dataset, *options], ["status", "g", dataset]):
        line = cli.refused(*arguments, status=1)
        assert line == f"{store_of(dataset)}: expected an SQLite file, found a folder"
    assert (store_of(dataset) / "file").exists()


def write_text(path: Path) -> None:
    path.write_text("Not a database, and dear to its owner.\n" * 100)


def write_other_tables(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE letters (sender TEXT, content TEXT)")
        connection.execute("INSERT INTO letters VALUES ('a', 'b')")
        connection.commit()


def write_other_cells(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE cells (id INTEGER, kind TEXT)")
        connection.execute("INSERT INTO cells VALUES (1, 'neuron')")
        connection.commit()


@pytest.mark.parametrize("options", [[], ["--overwrite"], ["--resume"]])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (write_text, "file is not a database"),
        (write_other_tables, "expected a graph (an SQLite table 'cells'), found other tables; it is left as"),
        (write_other_cells, "expected a graph (an SQLite table 'cells'), found other tables; it is left as"),
    ],
)
def test_store_is_somebody_elses_file(
    cli: Cli, dataset: Path, make: Callable[[Path], None], message: str, options: list[str]
) -> None:
    make(store_of(dataset))
    before = store_of(dataset).read_bytes()
    for arguments in (["graph", "g", dataset, *options], ["status", "g", dataset]):
        line = cli.refused(*arguments, status=1)
        assert line.startswith(f"{store_of(dataset)}: ")
        assert message in line
        assert store_of(dataset).read_bytes() == before


def write_no_tables(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")  # the first thing that is done to a new graph


@pytest.mark.parametrize("options", [[], ["--overwrite"]])
@pytest.mark.parametrize("make", [Path.touch, write_no_tables])
def test_store_is_an_empty_file(
    cli: Cli, dataset: Path, make: Callable[[Path], None], options: list[str]
) -> None:
    make(store_of(dataset))
    assert "no graph is there" in cli.refused("status", "g", dataset, status=1)
    assert "there is no graph to resume" in cli.refused("graph", "g", dataset, "--resume")
    assert cli("graph", "g", dataset, *options).status == 0
    assert cli.done(dataset) == list(COUNTS)


def test_log_of_a_graph_that_was_removed(cli: Cli, dataset: Path, small_cells: Cells) -> None:
    assert cli("graph", "g", dataset).status == 0
    with closing(sqlite3.connect(store_of(dataset))) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("DELETE FROM cells")
        connection.commit()
        log = Path(f"{store_of(dataset)}-wal")
        kept = log.read_bytes()
    store_of(dataset).unlink()
    log.write_bytes(kept)
    assert cli("graph", "g", dataset).status == 0
    assert graph_cells(dataset) == small_cells


# Stores that cannot be written


@pytest.fixture
def shared(cli: Cli, dataset: Path) -> Iterator[Path]:
    """The dataset in a folder that everybody can enter, and this process not as root, who may do anything."""
    # Whatever is imported late is imported now: somebody else may not be allowed to.
    assert cli("graph", "g", dataset, "--store", f"sqlite:{dataset.parent}/first.sqlite").status == 0
    folder = Path(tempfile.mkdtemp(prefix="beam-ingest-"))
    copy = shutil.copytree(dataset.parent, folder / "dataset") / "dataset.yml"
    (folder / "out").mkdir()
    user = os.geteuid()
    try:
        if user == 0:
            for path in [folder, *folder.rglob("*")]:
                os.chown(path, 65534, 65534)
            os.seteuid(65534)
        yield copy
    finally:
        os.seteuid(user)
        (folder / "out").chmod(0o755)
        shutil.rmtree(folder)


def test_folder_that_cannot_be_written(cli: Cli, shared: Path) -> None:
    store = shared.parent.parent / "out" / "graph.sqlite"
    store.parent.chmod(0o555)
    line = cli.refused("graph", "g", shared, "--store", f"sqlite:{store}", status=1)
    assert line == f"{store}: the SQLite graph cannot be created: unable to open database file"
    deeper = store.parent / "deeper" / "graph.sqlite"
    line = cli.refused("graph", "g", shared, "--store", f"sqlite:{deeper}", status=1)
    assert line.startswith(f"{deeper}: the SQLite graph cannot be created: [Errno 13] Permission denied")


def test_graph_that_cannot_be_written(cli: Cli, shared: Path) -> None:
    begun = shared.parent.parent / "out" / "begun.sqlite"
    bad = shared.parent / "edges" / "edges_0_0_0.proto.zst"
    content = bad.read_bytes()
    bad.write_bytes(b"")
    assert cli("graph", "g", shared, "--store", f"sqlite:{begun}").status == 1
    bad.write_bytes(content)
    with closing(sqlite3.connect(begun)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    # A copy, since SQLite would write through files that this process has open already.
    store = Path(shutil.copy(begun, begun.with_name("graph.sqlite")))
    option = ["--store", f"sqlite:{store}"]
    before = comparable(store)
    store.chmod(0o444)
    for graph, options, message in (
        ("g", ["--resume"], "the SQLite graph cannot be written: attempt to write a readonly database"),
        ("g", [], "a graph is there already; "),
        ("h", ["--resume"], "it was begun with graph id g, not h; "),
    ):
        line = cli.refused("graph", graph, shared, *option, *options, status=1 if graph == "g" else 2)
        assert line.startswith(f"{store}: {message}")
        assert comparable(store) == before
    assert cli("status", "g", shared, *option).out.startswith("2       : 15 / 16\n")

    store.parent.chmod(0o555)
    line = cli.refused("graph", "g", shared, *option, "--overwrite", status=1)
    assert line.startswith(f"{store}: the SQLite graph cannot be ")
    assert store.exists()


def test_finished_graph_that_cannot_be_written_can_be_read(cli: Cli, shared: Path) -> None:
    store = shared.parent.parent / "out" / "graph.sqlite"
    option = ["--store", f"sqlite:{store}"]
    assert cli("graph", "g", shared, *option).status == 0
    store.chmod(0o444)
    store.parent.chmod(0o555)
    assert cli("status", "g", shared, *option).out.startswith("2       : 16 / 16\n")
    assert "complete already" in cli("graph", "g", shared, *option, "--resume").out


def test_path_that_cannot_be(cli: Cli, dataset: Path) -> None:
    store = dataset / "graph.sqlite"  # below a file
    line = cli.refused("graph", "g", dataset, "--store", f"sqlite:{store}", status=1)
    assert line.startswith(f"{store}: the SQLite graph cannot be created: ")
    assert "no graph is there" in cli.refused("status", "g", dataset, "--store", f"sqlite:{store}", status=1)


# Disk full

FULL = "the SQLite graph cannot be written: database or disk is full"
THEN = "when that is mended, --resume finishes the graph"


def limited(pages: int) -> Callable[..., sqlite3.Connection]:
    """A way to connect to databases which may not have more than a few pages."""
    connect = sqlite3.connect

    def connect_limited(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    return connect_limited


def test_disk_full(cli: Cli, sample: Path, sample_cells: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite itself says so."""
    with monkeypatch.context() as patch:
        patch.setattr("beam_ingest.stores.sqlite.sqlite3.connect", limited(10))
        line = cli.refused("graph", "g", sample, status=1)
        assert line == f"{store_of(sample)}: {FULL}; {THEN}"
        assert cli.done(sample)[1:] == [0, 0]
        assert FULL in cli.refused("graph", "g", sample, "--resume", status=1)
    assert cli("graph", "g", sample, "--resume").status == 0
    assert graph_cells(sample) == sample_cells


def test_disk_full_at_once(cli: Cli, dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the table can be made: what is left is not taken for a graph."""
    with monkeypatch.context() as patch:
        patch.setattr("beam_ingest.stores.sqlite.sqlite3.connect", limited(1))
        line = cli.refused("graph", "g", dataset, status=1)
        assert line == f"{store_of(dataset)}: {FULL.replace('written', 'created')}"
    assert "no graph is there" in cli.refused("status", "g", dataset, status=1)
    assert cli("graph", "g", dataset).status == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "none", str(folder)]
    can_mount = os.geteuid() == 0 and shutil.which("mount")
    if not can_mount or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip(
            "NO REAL FULL DISK WAS TRIED: run this test as root on Linux, where it can mount a small tmpfs "
            "(in a container: with --cap-add SYS_ADMIN)"
        )
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_real_disk_full(cli: Cli, sample: Path, sample_cells: Cells, small_disk: Path) -> None:
    """With worker processes, whose errors come from elsewhere."""
    store = small_disk / "graph.sqlite"
    option = ["--store", f"sqlite:{store}"]
    line = cli.refused("graph", "g", sample, *option, "--direct_num_workers=2", status=1)
    assert line == f"{store}: {FULL}; {THEN}"
    assert cli("status", "g", sample, *option).out.endswith("4       : 0 / 1\n")
    subprocess.run(["mount", "-o", "remount,size=9m", str(small_disk)], check=True)
    assert cli("graph", "g", sample, *option, "--resume").status == 0
    cells = {key: value for key, value in comparable(store).items() if key[0] != b"meta"}
    assert cells == sample_cells


def test_file_that_may_not_grow(tmp_path: Path) -> None:
    """The operating system refuses to write: this is what a quota or a failing disk looks like.

    The limit holds for a whole process and its libraries, so it is one with the store alone.
    """
    program = """
import resource, sys
import numpy as np
from beam_ingest import StoreError, table
from beam_ingest.run import run_job
from beam_ingest.stores.sqlite import SQLiteStore
store = SQLiteStore(sys.argv[1])
store.create()
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
ids = np.arange(100_000, dtype=np.uint64)
try:
    store.write([table.fixed(table.PARENT, table.node_keys(ids), ids)], 1000)
except StoreError as error:
    print(error)
"""
    store = tmp_path / "graph.sqlite"
    command = [sys.executable, "-c", program, str(store)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith(f"{store}: the SQLite graph cannot be written: ")
    assert list(SQLiteStore(store).read_range(b"", b"\xff")) == []


# Two jobs


def test_a_job_whose_graph_is_begun_anew_stops(sample: Path, tmp_path: Path) -> None:
    """The second owns the table from then on; the first writes nothing more to it."""
    store = tmp_path / "graph.sqlite"
    job = make_job("g", Dataset.from_file(sample), f"sqlite:{store}", graph_version=2)
    first = start_job(job)
    second = start_job(job, overwrite=True)
    with pytest.raises(StoreError, match="another job has begun this graph anew"):
        run_job(first, {})
    assert timestamps(store) == {second.timestamp}
    run_job(second, {})
    assert timestamps(store) == {second.timestamp}


# Ctrl-C


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


class Gate:
    """An edges file that is there only when it is asked for: a pipe, at which a run has to wait."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._content = path.read_bytes()
        path.unlink()
        os.mkfifo(path)
        self._end = -1

    def reached(self) -> bool:
        """Whether the run waits here."""
        if self._end < 0:
            with suppress(OSError):  # nobody reads it yet
                self._end = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)
        return self._end >= 0

    def open(self) -> None:
        """Let the run go on."""
        os.write(self._end, self._content)
        os.close(self._end)
        self._end = -1

    def remove(self) -> None:
        """Put the file back."""
        if self._end >= 0:
            os.close(self._end)
        if stat.S_ISFIFO(self._path.stat().st_mode):
            self._path.unlink()
            self._path.write_bytes(self._content)


def processes_of(group: int) -> list[str]:
    """The processes of a process group, those that have ended but are not reaped left out."""
    listed = subprocess.run(["ps", "-axo", "pgid=,stat=,args="], capture_output=True, text=True, check=True)
    rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
    return [row[-1] for row in rows if row[0] == str(group) and not row[1].startswith("Z")]


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c(cli: Cli, sample: Path, sample_cells: Cells, workers: int) -> None:
    """Ctrl-C while the first chunks are done and the others wait for a file."""
    gates = [Gate(sample.parent / "edges" / f"edges_{name}.proto.zst") for name in ("0_0_0", "2_0_0")]
    process = subprocess.Popen(
        [*PROGRAM, "graph", "g", str(sample), f"--direct_num_workers={workers}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        # Each block of eight chunks has a gate. The run writes what it has every FLUSH_SECONDS.
        until(lambda: sum(gate.reached() for gate in gates) == workers)
        since = time.monotonic()
        until(lambda: time.monotonic() > since + FLUSH_SECONDS)
        next(gate for gate in gates if gate.reached()).open()
        until(lambda: cli.done(sample)[0] > 0)
        running = [args for args in processes_of(process.pid) if "beam_ingest.worker" in args]
        assert len(running) == (workers if workers > 1 else 0)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        out, err = process.communicate(timeout=30)
        until(lambda: not processes_of(process.pid), 30)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for gate in gates:
            gate.remove()
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if line]
    assert lines == ["beam-ingest: interrupted; --resume finishes graph g"]

    done = cli.done(sample)
    assert 0 < done[0] < COUNTS[0]
    assert done[1:] == [0, 0]
    mark(store_of(sample))
    outcome = cli("graph", "g", sample, "--resume")
    assert outcome.status == 0, outcome
    assert marked(store_of(sample)) == done[0], "what was done has been written again"
    assert len(timestamps(store_of(sample))) == 1
    assert graph_cells(sample) == sample_cells


NEVER = (1 << 40).to_bytes(8, "little")
"""Milliseconds that nothing takes."""


def mark(store: Path) -> None:
    """Change the time that each done chunk took, to see whether it is written again."""
    with closing(sqlite3.connect(store)) as connection:
        where = "qualifier = CAST('milliseconds' AS BLOB)"
        connection.execute(f"UPDATE cells SET value = ? WHERE {where}", (NEVER,))
        connection.commit()


def marked(store: Path) -> int:
    """How many chunks bear the mark."""
    with closing(sqlite3.connect(store)) as connection:
        found = connection.execute("SELECT count(*) FROM cells WHERE value = ?", (NEVER,)).fetchone()
    return int(found[0])


def test_ctrl_c_while_status_watches(cli: Cli, dataset: Path) -> None:
    (dataset.parent / "edges" / "edges_0_0_0.proto.zst").write_bytes(b"")
    assert cli("graph", "g", dataset).status == 1
    process = subprocess.Popen(
        [*PROGRAM, "status", "g", str(dataset), "--watch", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["failed"] == 1
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "beam-ingest: interrupted\n")


# Resume


@pytest.fixture(scope="module")
def _begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    dataset = write(small_dataset(), tmp_path_factory.mktemp("begun"))
    dataset.write_text(f"{dataset.read_text()}ingest_config: {{AGGLOMERATION: .}}\n")  # so that --raw can be
    bad = dataset.parent / "edges" / "edges_0_0_0.proto.zst"
    content = bad.read_bytes()
    bad.write_bytes(b"")
    assert main(["graph", "g", str(dataset)]) == 1
    bad.write_bytes(content)
    return dataset.parent


@pytest.fixture
def begun(_begun: Path, tmp_path: Path) -> Path:
    """The dataset file of a graph that was begun, not finished, since a file was bad, which is mended."""
    return shutil.copytree(_begun, tmp_path / "begun") / "dataset.yml"


@pytest.mark.parametrize(
    ("graph", "options", "difference"),
    [
        ("other", [], "graph id g, not other"),
        ("g", ["--graph-version", "2"], "--graph-version 3, not 2"),
        ("g", ["--test"], "--test False, not True"),
        ("g", ["--require-files"], "--require-files False, not True"),
        ("g", ["--raw"], "--raw False, not True"),
    ],
)
def test_resume_with_other_options(
    cli: Cli, begun: Path, graph: str, options: list[str], difference: str
) -> None:
    before = comparable(store_of(begun))
    line = cli.refused("graph", graph, begun, "--resume", *options)
    assert line == (
        f"{store_of(begun)}: it was begun with {difference}; "
        "resume it as it was begun, or build it anew with --overwrite"
    )
    assert comparable(store_of(begun)) == before


@pytest.mark.parametrize(
    ("old", "new", "difference"),
    [
        ("CHUNK_SIZE: [64, 64, 64]", "CHUNK_SIZE: [32, 32, 32]", "'CHUNK_SIZE: [64, 64, 64]' in line 7 of "),
        ("DATA_VERSION: 4", "DATA_VERSION: 3", "'DATA_VERSION: 4' in line 5 of "),
        ("graph_config:", "graph_config: # changed", "'graph_config:' in line 6 of "),
    ],
)
def test_resume_with_another_dataset_file(cli: Cli, begun: Path, old: str, new: str, difference: str) -> None:
    before = comparable(store_of(begun))
    text = begun.read_text()
    assert old in text
    begun.write_text(text.replace(old, new))
    line = cli.refused("graph", "g", begun, "--resume")
    assert line == (
        f"{store_of(begun)}: it was begun with {difference}{begun}, not '{new}'; "
        "resume it as it was begun, or build it anew with --overwrite"
    )
    assert comparable(store_of(begun)) == before


def test_resume_with_a_watershed_of_another_size(cli: Cli, begun: Path) -> None:
    info = begun.parent / "ws" / "info"
    info.write_text(info.read_text().replace("256", "320"))
    line = cli.refused("graph", "g", begun, "--resume")
    assert "it was begun with a grid of chunks (4, 2, 2), not (5, 2, 2); " in line


def test_resume_as_it_was_begun(cli: Cli, begun: Path, small_cells: Cells) -> None:
    (before,) = timestamps(store_of(begun))
    assert cli("graph", "g", begun, "--resume").status == 0
    assert timestamps(store_of(begun)) == {before}
    assert graph_cells(begun) == small_cells


def test_resume_of_nothing(cli: Cli, dataset: Path) -> None:
    line = cli.refused("graph", "g", dataset, "--resume")
    assert line == f"{store_of(dataset)}: there is no graph to resume; leave --resume out"
    assert not store_of(dataset).exists()


def test_resume_of_a_finished_graph_writes_nothing(cli: Cli, dataset: Path) -> None:
    assert cli("graph", "g", dataset).status == 0
    before = (store_of(dataset).read_bytes(), store_of(dataset).stat().st_mtime_ns)
    outcome = cli("graph", "g", dataset, "--resume")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out == "graph g is complete already: nothing to resume\n"
    assert (store_of(dataset).read_bytes(), store_of(dataset).stat().st_mtime_ns) == before
    names = {path.name for path in dataset.parent.iterdir()}
    assert not {name for name in names if name.startswith("graph.sqlite-")}
