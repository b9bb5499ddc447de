"""``beam-ingest view``."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from beam_ingest.cli.importing import importing
from beam_ingest.cli.options import add_graph, add_settings

if TYPE_CHECKING:
    from beam_ingest.arrays import Ids
    from beam_ingest.view.scene import Position
    from beam_ingest.view.server import GraphServer

_SHOWN = 24
"""Objects that are selected at first: Neuroglancer asks for each of them in each chunk that is seen."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_graph(parser)
    add_settings(parser)
    parser.add_argument(
        "--port",
        metavar="N",
        type=int,
        default=None,
        help="port of the graph server; Neuroglancer takes the next",
    )
    parser.add_argument(
        "--bind",
        metavar="ADDRESS",
        default="127.0.0.1",
        help="address to listen at; others than this one let other machines read the graph",
    )
    parser.add_argument(
        "--root",
        metavar="ID",
        type=int,
        nargs="+",
        help="objects to select, each by any node or supervoxel of it",
    )
    parser.add_argument(
        "--position", metavar=("X", "Y", "Z"), type=float, nargs=3, help="where to centre the view, in voxels"
    )
    parser.add_argument("--no-browser", action="store_true", help="print the link, and open no browser")
    parser.add_argument(
        "--server-only", action="store_true", help="serve the graph to other programs, without Neuroglancer"
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve a graph, show it, and end on Ctrl-C."""
    with importing():
        from beam_ingest.cli.place import graph_place
        from beam_ingest.dataset import Dataset
        from beam_ingest.errors import ConfigError
        from beam_ingest.view.server import GraphServer

        if not arguments.server_only:
            from beam_ingest.view import scene
            from beam_ingest.view.viewer import viewing

    port = arguments.port or 0
    if not 0 <= port < 65_535:
        raise ConfigError(f"--port {port}: expected a number from 0 to 65534")
    for node in arguments.root or ():
        if not 0 <= node < 1 << 64:
            raise ConfigError(f"--root {node}: expected an id, a whole number below 2^64")
    dataset = Dataset.from_file(arguments.dataset)
    place = graph_place(arguments, dataset)
    with (
        suppress(KeyboardInterrupt),  # how one ends it
        GraphServer(dataset, arguments.graph_id, place, port, arguments.bind) as server,
    ):
        if arguments.server_only:
            _wait(server.graph_url)
            return 0
        roots, position = _first_sight(arguments, server)
        state = scene.make_scene(server.served, server.url, roots, position)
        with viewing(state, arguments.bind, port and port + 1) as viewer:
            link = viewer.get_viewer_url()
            if not arguments.no_browser:
                open_browser(link)
            _wait(link)
    return 0


def _first_sight(arguments: argparse.Namespace, server: GraphServer) -> tuple[Ids, Position]:
    """What is selected, and what is in the middle."""
    from beam_ingest.errors import BeamIngestError
    from beam_ingest.view import scene

    served, tree = server.served, server.tree
    objects = scene.find_largest(tree)
    roots = objects.roots[:_SHOWN]
    if arguments.root:
        roots = scene.selected(tree, arguments.root)
    if arguments.position:
        x, y, z = arguments.position
        scene.check_position(served, (x, y, z))
        return roots, (x, y, z)
    known = [at for at, root in enumerate(objects.roots.tolist()) if root == roots[0]] if roots.size else []
    if not known:
        return roots, scene.middle_of(served)
    try:
        return roots, scene.find_centre(served, tree, int(roots[0]), objects.middle_chunk(known[0]))
    except (BeamIngestError, ImportError) as error:
        print(f"note: the watershed cannot be read, and will not be seen: {error}", file=sys.stderr)
        return roots, scene.middle_of(served)


def _wait(link: str) -> None:
    """Print the link, and wait for Ctrl-C."""
    print(link, flush=True)
    print("press Ctrl-C to stop", file=sys.stderr, flush=True)
    threading.Event().wait()


def open_browser(link: str) -> None:
    """Open a browser where there is a screen: without one, Python would take one for terminals."""
    import webbrowser

    if sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(link)
