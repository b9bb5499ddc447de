"""How the children of roots travel to where the roots are numbered."""

from __future__ import annotations

import numpy as np

from beam_ingest.ingest.build import RootChildren
from beam_ingest.stages.coding import pack_blobs, unpack_blobs


def pack_root_children(root_children: RootChildren) -> bytes:
    """Nodes and offsets of a sender, as bytes; offsets of single children are left out."""
    single = root_children.root_count == root_children.children.size
    offsets = b"" if single else root_children.child_offsets.astype("<i8").tobytes()
    return pack_blobs([root_children.children.astype("<u8").tobytes(), offsets])


def unpack_root_children(sender: int, data: bytes) -> RootChildren:
    """The nodes that `pack_root_children` took."""
    children, offsets = (np.frombuffer(blob or b"", "<i8") for blob in unpack_blobs(data))
    if offsets.size == 0:
        offsets = np.arange(children.size + 1)
    return RootChildren(sender, children.view("<u8"), offsets)
