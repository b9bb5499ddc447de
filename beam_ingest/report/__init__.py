"""What was built, on one page: facts from the graph's own table, distributions of objects, and pictures."""
