"""Bins of the distance between source and target."""

from __future__ import annotations

import numpy as np

EDGES = (20, 50, 100, 200)  # bp; those of the paper's Fig. 3B
STRATA = len(EDGES) + 1  # under 20, 20-50, 50-100, 100-200, 200 bp and more


def stratum_of(distance: np.ndarray) -> np.ndarray:
    """Number of the bin of distance, 0 to STRATA - 1, uint8."""
    return np.searchsorted(EDGES, distance, side="right").astype(np.uint8)
