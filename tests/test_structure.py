"""The shape of the house: who may import whom, and how large a room may be."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "beam_ingest"
MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path, top_level: bool = False) -> set[str]:
    """Modules that a file imports; of the package itself, by full name."""
    tree = ast.parse(path.read_text())
    known = {name_of(other) for other in MODULES}
    found = set()
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & known
            found |= inner or {node.module}
    return found


@pytest.mark.parametrize("folder", ["layers", "inputs", "stores"])
def test_kernels_inputs_and_stores_know_no_beam(folder: str) -> None:
    for path in (PACKAGE / folder).rglob("*.py"):
        assert not [m for m in imports_of(path) if m.startswith(("apache_beam", "beam_ingest.pipeline"))]


def test_kernels_do_no_input_and_output() -> None:
    for path in (PACKAGE / "layers").rglob("*.py"):
        forbidden = {
            "os",
            "pathlib",
            "cloudfiles",
            "sqlite3",
            "beam_ingest.stores",
            "beam_ingest.files",
        }
        assert not imports_of(path) & forbidden


@pytest.mark.parametrize("name", ["coverage", "findings", "listing", "pairs", "selection"])
def test_what_checks_compute_knows_no_beam(name: str) -> None:
    found = imports_of(PACKAGE / "checks" / f"{name}.py")
    assert not [
        m for m in found if m.startswith(("apache_beam", "beam_ingest.pipeline", "beam_ingest.stores"))
    ]


def test_stores_know_nothing_of_layers() -> None:
    allowed = {f"beam_ingest.{name}" for name in ("table", "errors", "dataset", "files", "file_kind")}
    for path in (PACKAGE / "stores").rglob("*.py"):
        inner = {m for m in imports_of(path) if m.startswith("beam_ingest.")}
        assert inner <= allowed | {m for m in inner if m.startswith("beam_ingest.stores")}


def test_verify_knows_nothing_of_the_builder() -> None:
    """What checks a graph must not share the faults of what built it."""
    parts = ("layers", "build", "job", "meta", *(f"pipeline.{m}" for m in ("layers", "raw", "roots", "sink")))
    known = {name_of(path): imports_of(path) for path in MODULES}
    seen, waiting = set(), [name for name in known if name.startswith("beam_ingest.verify")]
    while waiting:
        module = waiting.pop()
        seen.add(module)
        waiting += known.get(module, set()) - seen
    assert "beam_ingest.inputs.edges" in seen
    assert not [m for m in seen for part in parts if (m + ".").startswith(f"beam_ingest.{part}.")]


def test_the_checks_of_verify_know_no_beam() -> None:
    for path in (PACKAGE / "verify").glob("*.py"):
        assert ("apache_beam" in imports_of(path)) == (path.stem in ("atomic", "raw", "pipeline"))


def test_nothing_imports_in_a_circle() -> None:
    edges = {name_of(path): imports_of(path, top_level=True) for path in MODULES}
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join((*way, module))
        if module in done:
            return
        for other in edges.get(module, set()):
            if other != module:
                visit(other, (*way, module))
        done.add(module)

    for module in edges:
        visit(module, ())


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_files_stay_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400
    assert path.stem != "utils"


def test_public_names_are_what_they_say() -> None:
    import beam_ingest

    for name in beam_ingest.__all__:
        assert getattr(beam_ingest, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = beam_ingest.nothing
