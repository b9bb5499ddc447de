"""The kernels: pure functions from arrays to arrays, without Beam and without I/O."""
