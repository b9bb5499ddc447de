"""Measurements. They run real parts and print ratios within one run; tests never depend on them."""
