"""What a stage will cost before it is run, and what it cost: estimates from a sample, prices, bills."""
