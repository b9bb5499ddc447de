"""Checking a finished graph against its inputs, with no code of the builder's.

See docs/design.md, "Verifying".
"""
