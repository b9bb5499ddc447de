"""A shim: all metadata are in pyproject.toml. Dataflow builds workers from a setup.py (--setup_file)."""

from setuptools import setup

setup()
