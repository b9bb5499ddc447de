"""How the children of roots travel to where the roots are numbered."""

from __future__ import annotations

import numpy as np

from beam_ingest.ingest.build import Families
from beam_ingest.stages.coding import pack_blobs, unpack_blobs


def pack_families(families: Families) -> bytes:
    """Nodes and offsets of a sender, as bytes; offsets of single children are left out."""
    single = families.root_count == families.children.size
    offsets = b"" if single else families.child_offsets.astype("<i8").tobytes()
    return pack_blobs([families.children.astype("<u8").tobytes(), offsets])


def unpack_families(sender: int, data: bytes) -> Families:
    """The nodes that `pack_families` took."""
    children, offsets = (np.frombuffer(blob or b"", "<i8") for blob in unpack_blobs(data))
    if offsets.size == 0:
        offsets = np.arange(children.size + 1)
    return Families(sender, children.view("<u8"), offsets)
