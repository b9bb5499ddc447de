"""Looking at a graph: a server that speaks the read side of PyChunkedGraph's API, and Neuroglancer on it."""
