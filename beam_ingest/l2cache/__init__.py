"""The L2 cache: volume, area, shape and a representative point of every layer-2 node."""
