"""``prepare`` where volumes, and what it makes of them, are in Cloud Storage."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from beam_ingest.sample import SampleSpec, write_sample
from tests.conftest import Cli
from tests.runners.dataflow.conftest import storage  # noqa: F401  (a fixture)
from tests.runners.dataflow.jobs import BUCKET
from tests.runners.dataflow.storage import StorageEmulator
from tests.volumes.datasets import outputs
from tests.volumes.test_formats import LABELS, assembled, opened, write_n5, write_zarr3

OURS = f"gs://{BUCKET}/s/prepared"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("remote") / "s"
    write_sample(folder, SampleSpec(chunks=(2, 2, 1), chunk_size=(16, 16, 16), volumes=True), processes=1)
    return folder


@pytest.fixture
def remote(storage: StorageEmulator, sample: Path, tmp_path: Path) -> Path:  # noqa: F811
    """The dataset file of the sample's volumes in Cloud Storage."""
    for file in (sample / "volumes").rglob("*"):
        if file.is_file():  # as it is: the emulator forgets how an object is encoded
            data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
            storage.write(f"gs://{BUCKET}/s/{file.relative_to(sample)}".removesuffix(".gz"), data)
    text = (sample / "volumes.yml").read_text()
    path = tmp_path / "volumes.yml"
    path.write_text(text[: text.index("backend_client:")].replace(": ./", f": gs://{BUCKET}/s/"))
    return path


@pytest.mark.slow
def test_what_is_made_in_a_bucket_is_what_is_made_here(
    storage: StorageEmulator,  # noqa: F811
    remote: Path,
    sample: Path,
    tmp_path: Path,
    cli: Cli,
) -> None:
    assert cli("prepare", sample / "volumes.yml").status == 0
    here = {
        f"gs://{BUCKET}/s/prepared/{name.removesuffix('.gz')}": data
        for name, data in outputs(sample / "prepared" / "dataset.yml").items()
    }
    assert "add --store" in cli.refused("prepare", with_sqlite(remote))
    options = ("--store", f"sqlite:{tmp_path / 'progress.sqlite'}", "--direct_num_workers", "1")
    assert cli("prepare", remote, *options).status == 0
    made = storage.objects(f"{OURS}/")
    assert {name: storage.read(name) for name in made} == here
    assert "nothing to resume" in cli("prepare", remote, "--resume", *options).out
    # Without its table the owner of the files is not known; with it, what is not ours stays.
    other = ("--store", f"sqlite:{tmp_path / 'other.sqlite'}")
    for option in ([], ["--overwrite"]):
        assert "expected nothing at gs://" in cli.refused("prepare", remote, *other, *option, status=1)
    storage.write(f"{OURS}/edges/notes.txt", b"mine")
    storage.write(f"{OURS}/edges/edges_9_9_9.proto.zst", b"of another grid")
    assert cli("prepare", remote, "--overwrite", *options).status == 0
    found = {name: storage.read(name) for name in storage.objects(f"{OURS}/")}
    assert found == here | {f"{OURS}/edges/notes.txt": b"mine"}


def test_zarr_and_n5_are_read_from_a_bucket(
    storage: StorageEmulator,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TENSORSTORE_GCS_HTTP_URL", storage.url)
    monkeypatch.setenv("GOOGLE_AUTH_TOKEN_FOR_TESTING", "token")
    for name, write in (("zarr3", write_zarr3), ("n5", write_n5)):
        write(tmp_path / name, "uint32")
        for file in (tmp_path / name).rglob("*"):
            if file.is_file():
                storage.write(f"gs://{BUCKET}/{file.relative_to(tmp_path)}", file.read_bytes())
        extent, reader = opened(tmp_path, f"{name}://gs://{BUCKET}/{name}")
        assert np.array_equal(assembled(extent, reader, "uint32"), LABELS)


def with_sqlite(remote: Path) -> Path:
    path = remote.with_name("sqlite.yml")
    path.write_text(remote.read_text() + "backend_client: {TYPE: sqlite, CONFIG: {PATH: ./graph.sqlite}}\n")
    return path
