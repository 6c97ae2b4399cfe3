"""DNA as arrays: one-hot and codes, shuffles, references, mutants, random numbers."""
