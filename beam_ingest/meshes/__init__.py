"""The stage ``mesh``: surfaces of nodes, chunk by chunk and layer by layer, as sharded Draco files."""
