"""Dense cones: a mutant's changed windows, as batched matrix products (ALGORITHM 1, 2)."""
