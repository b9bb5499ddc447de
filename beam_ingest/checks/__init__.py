"""Checking a dataset before a graph is built from it."""
