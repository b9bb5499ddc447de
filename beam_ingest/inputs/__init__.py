"""What is read: files of edges, components and raw agglomeration, and the watershed's info."""
