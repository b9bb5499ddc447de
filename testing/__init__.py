"""Tools that tests and benchmarks share: engines, the Bigtable emulator, and building without Beam."""
