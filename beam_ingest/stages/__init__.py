"""What every stage shares: blocks of the grid, coding of elements, the sink, progress and failures."""
