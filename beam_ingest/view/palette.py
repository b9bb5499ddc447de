"""Colours that people who see colours differently can tell apart (Okabe and Ito, 2008)."""

from __future__ import annotations

OBJECTS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#bbbbbb")
"""Of the largest objects, from the largest on."""
