"""A synthetic dataset: made-up neurites, cut into supervoxels, in every input format there is.

``write_sample`` writes a watershed volume, edges and components files, raw agglomeration and a
dataset file that names them. It is what tests and benchmarks ingest, and what a new user can try
without any data of their own. Equal specifications give equal bytes.
"""

from beam_ingest.sample.spec import SampleSpec
from beam_ingest.sample.write import SampleCounts, write_sample

__all__ = ["SampleCounts", "SampleSpec", "write_sample"]
