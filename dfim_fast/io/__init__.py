"""Files in and out: sequences, regions, variants, results."""
