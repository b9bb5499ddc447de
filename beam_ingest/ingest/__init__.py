"""Building a graph: the job, one chunk, the pipeline."""
