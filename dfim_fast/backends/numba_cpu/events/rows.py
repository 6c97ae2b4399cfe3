"""What one sequence gives."""

from __future__ import annotations

from dataclasses import dataclass

from dfim_fast.ops.base import Array


@dataclass
class Rows:
    """What ``EventProgram.run`` returns. K tasks, M mutants, W targets, L positions.

    Attributes
    ----------
    fis : ndarray (K, M, W) float32
        Original minus mutant importance; 0 inside the mutated span and where the target is -1.
    standard_error : ndarray (K, M, W) float32 or None
        Over groups of references; None with fewer than two.
    self_effect : ndarray (K, M) float32
        The same, summed over the mutated span.
    mutant_predictions : ndarray (K, M) float32
    attributions : ndarray (K, L) float32
        Importance of the original.
    predictions : ndarray (K,) float32
    reference_predictions : ndarray (K,) float32 or None
        Mean over the references.
    delta_error : float or None
        Largest summation-to-delta error over original and mutants, relative to the sum of |C|.
    """

    fis: Array
    standard_error: Array | None
    self_effect: Array
    mutant_predictions: Array
    attributions: Array
    predictions: Array
    reference_predictions: Array | None
    delta_error: float | None
