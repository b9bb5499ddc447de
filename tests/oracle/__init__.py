"""The independent oracle: what a graph must hold, computed slowly, in plain Python, from the whole dataset.

It imports nothing from the package under test. Start at `datasets` (what goes in) and `graph` (what must
come out).
"""
