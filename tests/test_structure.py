"""The shape of the house: which package may import which, and how large a module may be."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "beam_ingest"
MODULES = sorted(PACKAGE.rglob("*.py"))
FLOORS = (
    ("version", "redact", "file_kind", "interrupt"),
    ("errors",),
    ("halt", "document", "arrays"),
    ("format",),
    ("files",),
    ("section",),
    ("dataset",),
    ("inputs", "stores"),
    ("kernels", "stages"),
    ("reader", "sample", "ingest", "verify", "volumes", "l2cache"),
    ("meshes",),
    ("checks", "runners", "view"),
    ("plan", "report"),
    ("cli",),
    ("__init__", "__main__"),
)
"""Packages and modules of the top level, from the bottom up: each imports from floors below its own only."""


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path, top_level: bool = False) -> set[str]:
    """Modules that a file imports; of the package itself, by full name. Not those for type checkers alone."""
    known = {name_of(other) for other in MODULES}
    found = set()
    for node in _nodes(ast.parse(path.read_text()), top_level):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & known
            found |= inner or {node.module}
    return found


def _nodes(tree: ast.Module, top_level: bool) -> Iterator[ast.AST]:
    if top_level:
        yield from tree.body
        return
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            continue
        yield node
        waiting += ast.iter_child_nodes(node)


def room_of(module: str) -> str:
    """The package or module of the top level that a module is in."""
    return (module.split(".") + ["__init__"])[1]


def test_every_room_is_on_a_floor() -> None:
    rooms = {room_of(name_of(path)) for path in MODULES} | {"__main__"}
    assert rooms == {room for floor in FLOORS for room in floor}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_down(path: Path) -> None:
    floor_of = {room: number for number, floor in enumerate(FLOORS) for room in floor}
    room = room_of(name_of(path)) if path.stem != "__main__" else "__main__"
    for module in imports_of(path):
        if module.startswith("beam_ingest."):
            other = room_of(module)
            assert other == room or floor_of[other] < floor_of[room], f"{name_of(path)} imports {module}"


@pytest.mark.parametrize("folder", ["kernels", "inputs", "stores", "format"])
def test_kernels_inputs_and_stores_know_no_beam(folder: str) -> None:
    for path in (PACKAGE / folder).rglob("*.py"):
        assert not [m for m in imports_of(path) if m.startswith("apache_beam")]


def test_kernels_do_no_input_and_output() -> None:
    for path in (PACKAGE / "kernels").rglob("*.py"):
        forbidden = {"os", "pathlib", "cloudfiles", "sqlite3", "beam_ingest.files"}
        found = imports_of(path)
        assert not found & forbidden
        assert not [m for m in found if m.startswith("beam_ingest.stores")]


@pytest.mark.parametrize("name", ["coverage", "listing", "pairs", "selection"])
def test_what_checks_compute_knows_no_beam(name: str) -> None:
    found = imports_of(PACKAGE / "checks" / f"{name}.py")
    assert not [m for m in found if m.startswith(("apache_beam", "beam_ingest.ingest", "beam_ingest.stores"))]


def test_stores_know_nothing_of_layers() -> None:
    allowed = ("format.table", "errors", "dataset", "stores", "files", "file_kind", "redact", "halt")
    for path in (PACKAGE / "stores").rglob("*.py"):
        inner = {m.removeprefix("beam_ingest.") for m in imports_of(path) if m.startswith("beam_ingest.")}
        assert not [m for m in inner if not m.startswith(allowed)], name_of(path)


def test_verify_knows_nothing_of_the_builder() -> None:
    """What checks a graph must not share the faults of what built it."""
    known = {name_of(path): imports_of(path) for path in MODULES}
    seen, waiting = set(), [name for name in known if name.startswith("beam_ingest.verify")]
    while waiting:
        module = waiting.pop()
        seen.add(module)
        waiting += known.get(module, set()) - seen
    assert "beam_ingest.inputs.edges" in seen
    parts = ("kernels", "ingest", "format.meta", "stages.sink")
    assert not [m for m in seen for part in parts if (m + ".").startswith(f"beam_ingest.{part}.")]


def test_nothing_is_unpickled() -> None:
    """A pickle out of a table or a file is code: pickles are only ever written."""
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            name = getattr(node, "attr", None) or getattr(node, "id", None)
            assert name not in ("Unpickler", "allow_pickle"), path
            if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") in ("pickle", "dill"):
                assert node.attr in ("dumps", "Pickler", "HIGHEST_PROTOCOL"), path


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


def test_every_public_name_is_there() -> None:
    import beam_ingest

    assert set(beam_ingest.__all__) <= set(dir(beam_ingest))
    for name in beam_ingest.__all__:
        assert getattr(beam_ingest, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = beam_ingest.nothing
