"""From volumes to edges, components and a watershed: pieces of supervoxels, and where they touch."""
