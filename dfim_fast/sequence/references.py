"""Reference sequences for DeepLIFT.

References belong to the original sequence and are shared by all its mutants. They are zero
wherever the sequence is N, so that N never contributes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dfim_fast.errors import InputError, SettingsError
from dfim_fast.sequence.one_hot import as_one_hot, on_host
from dfim_fast.sequence.shuffle import dinucleotide_shuffle

KINDS = ("dinucleotide", "gc", "zeros")


def make_references(
    X: Any,
    references: Any = "dinucleotide",
    n_references: int = 20,
    gc: float = 0.46,
    random_state: int = 0,
) -> npt.NDArray[np.float32]:
    """Build the references of each sequence.

    A sequence's references do not depend on what else is in ``X``.

    Parameters
    ----------
    X : list of str, str, or one-hot array, (N, 4, L) or (4, L)
    references : {"dinucleotide", "gc", "zeros"} or array, (R, 4, L) or (N, R, 4, L)
        Dinucleotide shuffles; a constant background; zeros; or the caller's own, shared by all
        sequences or for each.
    n_references : int
        R of ``"dinucleotide"``; the background and zeros have R = 1.
    gc : float
        GC content of ``"gc"``: C and G get gc/2, A and T (1-gc)/2.
    random_state : int
        Seed of ``"dinucleotide"``.

    Returns
    -------
    ndarray, (N, R, 4, L) float32

    Raises
    ------
    SettingsError
        For an unknown kind, ``gc`` outside 0..1 or ``n_references`` below 1.
    InputError
        If ``X`` is not valid DNA, or the array is not finite or of the wrong shape.
    """
    if isinstance(references, str) and references not in KINDS:
        raise SettingsError(
            f"references={references!r} is unknown; use {', '.join(map(repr, KINDS))} or an array"
        )
    integer = isinstance(n_references, int | np.integer) and not isinstance(n_references, bool)
    if not integer or n_references < 1:
        raise SettingsError(f"n_references={n_references!r}: pass an integer of at least 1")
    check_gc(gc)
    one_hot = as_one_hot(X)
    if not isinstance(references, str):
        return _own_references(one_hot, references)
    if references == "dinucleotide":
        return dinucleotide_shuffle(one_hot, n_references, random_state, purpose="reference")
    if references == "gc":
        return gc_background(one_hot, gc)
    return np.zeros((one_hot.shape[0], 1, *one_hot.shape[1:]), dtype=np.float32)


def gc_background(X: Any, gc: float = 0.46) -> npt.NDArray[np.float32]:
    """Return the constant background of a GC content, zero where the sequence is N.

    Parameters
    ----------
    X : list of str, str, or one-hot array, (N, 4, L) or (4, L)
    gc : float
        C and G get gc/2, A and T (1-gc)/2.

    Returns
    -------
    ndarray, (N, 1, 4, L) float32

    Raises
    ------
    SettingsError
        If ``gc`` is outside 0..1.
    InputError
        If ``X`` is not valid DNA.
    """
    check_gc(gc)
    frequencies = np.array([1 - gc, gc, gc, 1 - gc], dtype=np.float32) / 2
    known = _known(as_one_hot(X))
    return (known[:, None, None, :] * frequencies[:, None]).astype(np.float32, copy=False)


def check_gc(gc: float) -> None:
    number = isinstance(gc, int | float | np.integer | np.floating)
    if not number or not 0 <= gc <= 1:  # NaN fails the comparison too
        raise SettingsError(f"gc={gc!r} is no GC content; pass a fraction between 0 and 1")


def _known(one_hot: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return (N, L): 1 at bases, 0 at N."""
    known: npt.NDArray[np.float32] = one_hot.max(axis=1)
    return known


def _own_references(one_hot: npt.NDArray[np.float32], references: Any) -> npt.NDArray[np.float32]:
    n, _, length = one_hot.shape
    wanted = f"wanted (R, 4, {length}) or ({n}, R, 4, {length})"
    try:
        array = np.asarray(on_host(references))
    except ValueError:
        raise InputError(f"references of unequal shape cannot be one array; {wanted}") from None
    if array.dtype.kind not in "biuf":
        raise InputError(
            f"references have type {array.dtype}; {wanted} of real numbers, "
            f"or one of {', '.join(map(repr, KINDS))}"
        )
    shape = array.shape
    if array.ndim == 3:
        array = array[None]
    if array.ndim != 4 or array.shape[2:] != (4, length):
        hint = "reshape the array"
        if array.ndim == 4 and array.shape[2:] == (length, 4):
            hint = "the channels are last: swap the last two axes"
        elif array.ndim == 4 and array.shape[2] == 4:
            hint = "make the references as long as the sequences"
        raise InputError(f"references have shape {shape}; {wanted}; {hint}")
    if len(shape) == 4 and shape[0] != n:
        raise InputError(
            f"references have shape {shape}: {shape[0]} sets for {n} sequences; {wanted}; "
            "give one set for each sequence, or drop the first axis to share one"
        )
    if array.shape[1] == 0:
        raise InputError(f"references have shape {shape}, none at all; {wanted} with R >= 1")
    with np.errstate(over="ignore"):
        own = array.astype(np.float32, copy=False)
    finite = np.isfinite(own)
    if not finite.all():
        entry = np.unravel_index(int(np.argmin(finite)), array.shape)
        place = "reference {1}, channel {2}, position {3} (0-based)".format(*entry)
        if len(shape) == 4:
            place = f"sequence {entry[0]}, {place}"
        raise InputError(f"references: {array[entry]} at {place}; pass finite numbers")
    known = _known(one_hot)[:, None, None, :]
    return np.where(known != 0, own, np.float32(0))
