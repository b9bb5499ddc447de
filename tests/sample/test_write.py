"""Writing a sample dataset: the same bytes every time, progress, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from beam_ingest.errors import ConfigError
from beam_ingest.sample import SampleSpec, write_sample

from . import files


@pytest.mark.slow
def test_equal_specs_give_equal_bytes_whatever_the_processes(tmp_path: Path) -> None:
    spec = SampleSpec(chunks=(2, 2, 3), chunk_size=(16, 16, 16))
    for name, processes in (("one", 1), ("two", 2)):
        write_sample(tmp_path / name, spec, processes=processes)
    write_sample(tmp_path / "other seed", replace(spec, seed=1), processes=1)
    write_sample(tmp_path / "moved", replace(spec, voxel_offset=(100, -20, 3)), processes=1)
    one, two, other, moved = (
        files.digests(tmp_path / name) for name in ("one", "two", "other seed", "moved")
    )
    assert one == two
    assert all(
        one[name] != other.get(name) for name in one if name.startswith(("edges", "components", "ws/8"))
    )
    graph = [name for name in one if name.startswith(("edges", "components", "agg"))]
    assert all(one[name] == moved[name] for name in graph)
    assert (files.voxels(tmp_path / "one") == files.voxels(tmp_path / "moved")).all()


def test_a_default_chunk_is_like_a_real_one(tmp_path: Path) -> None:
    counts = write_sample(tmp_path, SampleSpec(chunks=(6, 1, 1)), processes=1)
    assert 600 < counts.supervoxels / counts.chunks < 1400
    assert 3.8 < counts.in_chunk_edges / counts.supervoxels < 4.6


def test_progress(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    spec = SampleSpec(chunks=(2, 1, 2), chunk_size=(8, 8, 8))
    write_sample(
        tmp_path / "new" / "folder", spec, lambda done, total: calls.append((done, total)), processes=1
    )
    assert calls == [(done, 12) for done in range(1, 13)]


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not an empty folder"):
        write_sample(tmp_path, SampleSpec())
    with pytest.raises(ConfigError, match=r"notes\.txt"):
        write_sample(tmp_path / "notes.txt", SampleSpec())


def test_a_half_written_sample_is_replaced_and_a_whole_one_kept(tmp_path: Path) -> None:
    spec = SampleSpec(chunks=(2, 1, 1), chunk_size=(8, 8, 8))

    def interrupt(done: int, total: int) -> None:
        if done == total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_sample(tmp_path / "cut", spec, interrupt, processes=1)
    assert any((tmp_path / "cut").iterdir())
    write_sample(tmp_path / "cut", spec, processes=1)
    write_sample(tmp_path / "whole", spec, processes=1)
    assert files.digests(tmp_path / "cut") == files.digests(tmp_path / "whole")
    with pytest.raises(ConfigError, match="name another one for the sample, or add --overwrite"):
        write_sample(tmp_path / "cut", spec, processes=1)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"chunks": (4, 0, 4)}, r"\(4, 0, 4\)"),
        ({"chunks": (1, 1, 1)}, "CHUNK_SIZE"),
        ({"chunks": (1025, 1, 1)}, "1025"),
        ({"chunk_size": (16, 7, 16)}, r"\(16, 7, 16\)"),
        ({"chunk_size": (16, 16, 257)}, r"\(16, 16, 257\)"),
        ({"seed": -1}, "-1"),
        ({"seed": 2**64}, str(2**64)),
        ({"data_version": 1}, "version is 1"),
        ({"size": (192, 192, 144)}, r"\(192, 192, 144\)"),
        ({"size": (192, 193, 192)}, r"\(192, 193, 192\)"),
    ],
)
def test_specs_that_cannot_be_are_refused(wrong: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        SampleSpec(**wrong)  # type: ignore[arg-type]
