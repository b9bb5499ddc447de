"""The command line where its users err, and where its surroundings do."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from beam_ingest import interrupt
from beam_ingest.cli.arguments import COMMANDS
from beam_ingest.dataset import Dataset
from beam_ingest.errors import ConfigError
from beam_ingest.ingest.job import make_job, start_job
from beam_ingest.stages.manifest import read_manifest
from beam_ingest.stores import open_store, store_url
from beam_ingest.stores.names import bigtable_url, check_table
from tests.conftest import Cli, store_of
from tests.stages.test_resume import PROGRAM
from tests.test_bad_dataset import change, refused

ROOT = Path(__file__).parents[2]


# Arguments


@pytest.mark.parametrize(
    ("given", "lacking"), [((), "X, Y, Z"), (("1",), "Y, Z"), (("1", "2"), "Z")], ids=["0", "1", "2"]
)
def test_a_chunk_without_all_its_coordinates(cli: Cli, given: tuple[str, ...], lacking: str) -> None:
    line = cli.refused("chunk", "g", "dataset.yml", "2", *given)
    assert line == f"the following arguments are required: {lacking} (see beam-ingest chunk --help)"


def test_an_unknown_command_gets_a_suggestion(cli: Cli) -> None:
    assert cli.refused("verfy") == "unknown command verfy; did you mean verify?"
    assert cli.refused("xyz", "--help") == "unknown command xyz; see beam-ingest --help"


def test_help_shows_defaults_and_common_options_of_beam(cli: Cli) -> None:
    text = " ".join(cli("graph", "--help").out.split())
    for name in (
        "--runner NAME",
        "--direct_num_workers N",
        "--job_endpoint HOST:PORT",
        "--temp_location URL",
    ):
        assert name in text
    assert "major version of PyChunkedGraph (default: 3)" in text
    assert "(default: 4 4 4)" in " ".join(cli("sample", "--help").out.split())


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_command_has_help(cli: Cli, verb: str) -> None:
    outcome = cli(verb, "--help")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.startswith(f"usage: beam-ingest {verb} ")
    assert "SUPPRESS" not in outcome.out


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("status", "GRAPH_ID=g"),
        ("run-dataflow", "DATASET=d.yml"),
        ("run-dataflow", "DATASET=d.yml", "GRAPH_ID=--help"),
        ("run-dataflow", "DATASET=--help", "GRAPH_ID=g"),
        ("cancel",),
        ("cancel", "GRAPH_ID=--help"),
    ],
)
def test_make_without_names(words: tuple[str, ...]) -> None:
    # MAKELEVEL would have make print the folders that it enters, when it is make that runs the tests.
    unset = ("GRAPH_ID", "DATASET", "MAKELEVEL", "MAKEFLAGS")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    ran = subprocess.run(["make", *words], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (2, "")
    usage = f"usage: make {words[0]} DATASET=file.yml GRAPH_ID=name [ARGS=...]"
    assert ran.stderr.splitlines()[0] == usage


# Names


@pytest.mark.parametrize(
    ("change_key", "value", "store", "message"),
    [
        ("ID_PREFIX", "lab/", None, "graph id 'g' behind graph_config.ID_PREFIX 'lab/': expected up to 50"),
        ("ID_PREFIX", "läb_", None, "graph id 'g' behind graph_config.ID_PREFIX 'läb_': expected up to 50"),
        ("ID_PREFIX", "-", None, "graph id 'g' behind graph_config.ID_PREFIX '-': expected up to 50"),
        ("ID_PREFIX", "x" * 50, None, "expected up to 50 letters"),
        (None, None, "bigtable:p/ä", "the Bigtable instance 'ä': expected up to 33 lower-case letters"),
        (None, None, "bigtable:p/My-Instance", "the Bigtable instance 'My-Instance': expected up to 33"),
        (None, None, "bigtable:my project/i", "the Bigtable project 'my project': expected up to 30"),
        (None, None, "bigtable:prö/i", "the Bigtable project 'prö': expected up to 30"),
        (
            None,
            None,
            "bigtable:p/i/t",
            "--store bigtable:p/i/t: expected sqlite:PATH or bigtable:PROJECT/INST",
        ),
    ],
)
def test_names_that_bigtable_refuses(
    cli: Cli, dataset: Path, change_key: str | None, value: str, store: str | None, message: str
) -> None:
    """Before any connection is made: there is nothing to connect to here."""
    if change_key:
        change(dataset, f"graph_config.{change_key}", value)
    for verb in ("graph", "status", "failures", "verify", "chunk"):
        where = ["--store", store or "bigtable:p/i"]
        line = cli.refused(verb, "g", dataset, *where, *(["2", "0", "0", "0"] if verb == "chunk" else []))
        assert message in line
    if change_key:
        assert message in refused(cli, dataset)


def test_app_profiles_that_bigtable_refuses(cli: Cli, dataset: Path) -> None:
    for profile in ("a/b", "ä", "-x"):
        options = ["--store", "bigtable:p/i", f"--bigtable-app-profile={profile}"]
        line = cli.refused("graph", "g", dataset, *options)
        assert line.startswith(f"the Bigtable app profile {profile!r}: expected up to 50 letters, digits")


def test_names_that_bigtable_takes() -> None:
    for project in ("my-project", "example.com:my-project", "123456789012"):
        assert (
            bigtable_url(project, "my-instance1", "Lab_g.1", "p")
            == f"bigtable:{project}/my-instance1/Lab_g.1/p"
        )
    check_table("_" + "x" * 46, "lab")
    for url in ("bigtable:p/i", "bigtable:p/i/a/b/c", "bigtable:p/i/ä/", "spanner:p/i/t/"):
        with pytest.raises(ConfigError):
            open_store(url)


@pytest.mark.parametrize("tablets", [0, -1, -100])
def test_tablets_below_one(cli: Cli, dataset: Path, tablets: int) -> None:
    message = f"--bigtable-tablets {tablets}: expected 1 "
    for existing in ((), ("--overwrite",), ("--resume",)):
        assert message in refused(cli, dataset, f"--bigtable-tablets={tablets}", *existing)
    job = make_job("g", Dataset.from_file(dataset), store_url(Dataset.from_file(dataset), "g"))
    with pytest.raises(ConfigError, match=message):
        start_job(job, tablets=tablets)
    assert not store_of(dataset).exists()


def test_a_resume_remembers_tablets(dataset: Path) -> None:
    opened = Dataset.from_file(dataset)
    job = start_job(make_job("g", opened, store_url(opened, "g")), tablets=7)
    store = job.open_store()
    assert read_manifest(store).tablets == 7
    start_job(make_job("g", opened, store_url(opened, "g")), resume=True)
    assert read_manifest(store).tablets == 7
    store.close()


# What programs read


def test_failed_chunks_are_a_status_of_programs(cli: Cli, dataset: Path) -> None:
    file = dataset.parent / "edges" / "edges_1_0_0.proto.zst"
    content = file.read_bytes()
    file.write_bytes(b"")
    assert cli("graph", "g", dataset).status == 1
    for verb in ("failures", "status"):
        for options in ((), ("--json",)):
            outcome = cli(verb, "g", dataset, *options)
            assert (outcome.status, outcome.err) == (1, "")
    when = cli("failures", "g", dataset).out.split("1_0_0 ")[1].splitlines()[0]
    assert abs(time.mktime(time.strptime(when[:19], "%Y-%m-%d %H:%M:%S")) - time.time()) < 3600
    assert when[19:] == time.strftime(" %z")
    file.write_bytes(content)
    assert cli("graph", "g", dataset, "--resume").status == 0
    for verb in ("failures", "status"):
        assert cli(verb, "g", dataset).status == 0


def test_commands_close_what_they_open(cli: Cli, dataset: Path) -> None:
    """In a process that runs many of them, as tests do, descriptors do not pile up."""
    assert cli("graph", "g", dataset).status == 0
    where = ("g", dataset)
    commands = (
        ("status", *where),
        ("status", "other", dataset),
        ("failures", *where),
        ("chunk", *where, "2", "0", "0", "0"),
        ("graph", *where, "--resume"),
    )
    for words in commands:
        cli(*words)
        before = len(os.listdir("/proc/self/fd"))
        cli(*words)
        assert len(os.listdir("/proc/self/fd")) == before, words


# Surroundings


class Terminal(io.StringIO):
    """A terminal at which somebody answers."""

    def isatty(self) -> bool:
        return True


class Garbled(Terminal):
    def readline(self, size: int | None = -1, /) -> str:
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")


@pytest.mark.parametrize("terminal", [Terminal(""), Garbled("")], ids=["Ctrl-D", "no text"])
def test_no_answer_to_a_question(
    cli: Cli, dataset: Path, monkeypatch: pytest.MonkeyPatch, terminal: Terminal
) -> None:
    from beam_ingest.stores.sqlite import SQLiteStore

    assert cli("graph", "g", dataset).status == 0
    monkeypatch.setattr(SQLiteStore, "shared", True)  # as a table in Bigtable is
    monkeypatch.setattr(sys, "stdin", terminal)
    before = store_of(dataset).read_bytes()
    outcome = cli("graph", "g", dataset, "--overwrite")
    advice = f"{store_of(dataset)} is not removed; type its name when asked, or add --yes"
    assert (outcome.status, outcome.errors[-1]) == (2, f"beam-ingest: {advice}")
    assert "Traceback" not in outcome.err
    assert store_of(dataset).read_bytes() == before


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}


@pytest.mark.slow
def test_names_that_the_locale_does_not_have(cli: Cli, dataset: Path, tmp_path: Path) -> None:
    folder = dataset.parent.rename(tmp_path / "Würfel")
    for words, status in (
        (("graph", "g", "dataset.yml"), 0),
        (("graph", "ä", "dataset.yml"), 2),
        (("status", "g", "nö.yml"), 2),
    ):
        ran = subprocess.run(
            [*PROGRAM, *words], cwd=folder, env={**os.environ, **ASCII}, capture_output=True, text=True
        )
        assert ran.returncode == status, ran
        assert "Traceback" not in ran.stderr
    assert cli.done(folder / "dataset.yml") == [16, 2, 1]


def test_help_that_cannot_be_written() -> None:
    with open("/dev/full", "w") as full:
        ran = subprocess.run([*PROGRAM, "--help"], stdout=full, stderr=subprocess.PIPE, text=True)
    expected = "beam-ingest: standard output cannot be written: No space left on device\n"
    assert (ran.returncode, ran.stderr) == (1, expected)


@pytest.mark.parametrize(
    "module", ["beam_ingest.cli.arguments", "numpy", "apache_beam", "beam_ingest.runners.run"]
)
def test_ctrl_c_while_modules_are_imported(dataset: Path, module: str) -> None:
    """The program sends the signal to itself, in the midst of an import that reports it as another error."""
    code = f"""
import os, runpy, signal, sys
class Importing:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            try:
                os.kill(os.getpid(), signal.SIGINT)
                for _ in range(1000): pass
            except KeyboardInterrupt:
                raise ImportError("as compiled modules do")
sys.meta_path.insert(0, Importing())
sys.argv = ["beam-ingest", "graph", "g", {str(dataset)!r}]
runpy.run_module("beam_ingest", run_name="__main__")
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "", "beam-ingest: interrupted\n")
    assert not store_of(dataset).exists()


def test_another_handler_of_ctrl_c_stays() -> None:
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupt.during_imports():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with interrupt.during_imports():
            assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, previous)
