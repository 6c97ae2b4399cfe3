"""Statistics of interaction scores: nulls, p-values, corrections, streamed histograms."""
