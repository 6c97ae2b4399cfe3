"""What will be computed, how, and at what counted cost: decided before the computation."""
