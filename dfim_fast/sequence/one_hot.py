"""DNA strings, one-hot arrays and integer codes, and the checks at the package's door.

One-hot is ``(N, 4, L)`` float32 in the order A, C, G, T; N is an all-zero column. Codes are
``(N, L)`` int8, 0..3 for A, C, G, T and 4 for N. Everything the user passes goes through
:func:`as_one_hot` or :func:`encode`; the rest of the package trusts what they return.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dfim_fast.errors import InputError

ALPHABET = "ACGTN"
UNKNOWN = 4  # the code of N

_INVALID = 127
_CODE_OF_BYTE = np.full(256, _INVALID, dtype=np.int8)
for _code, _letter in enumerate(ALPHABET):
    _CODE_OF_BYTE[ord(_letter)] = _CODE_OF_BYTE[ord(_letter.lower())] = _code
_BYTE_OF_CODE = np.frombuffer(ALPHABET.encode("ascii"), dtype=np.uint8)

# Whole-array work runs over blocks of rows, so that its temporaries stay in cache.
_BLOCK_ELEMENTS = 1 << 20


def one_hot(sequences: Sequence[str] | str) -> npt.NDArray[np.float32]:
    """One-hot encode DNA strings.

    Parameters
    ----------
    sequences : list of str, or one str
        N strings of one length L over A, C, G, T, N in any case.

    Returns
    -------
    ndarray, (N, 4, L) float32
        Order A, C, G, T; N is an all-zero column.

    Raises
    ------
    InputError
        For an empty list, an empty string, unequal lengths, or any other letter.

    Examples
    --------
    >>> import dfim_fast
    >>> dfim_fast.one_hot(["ACGN"])[0]
    array([[1., 0., 0., 0.],
           [0., 1., 0., 0.],
           [0., 0., 1., 0.],
           [0., 0., 0., 0.]], dtype=float32)
    """
    return _expand(_codes_of_strings(_as_list(sequences), None, None))


def as_one_hot(
    X: Any, length: int | None = None, names: Sequence[str] | None = None
) -> npt.NDArray[np.float32]:
    """Check what a user passed as sequences and return it as one-hot.

    Parameters
    ----------
    X : list of str, str, or array, (N, 4, L) or (4, L)
        Strings over ACGTN in any case, or a one-hot array of any real or boolean type.
    length : int, optional
        The L that is wanted; any when None.
    names : sequence of str, (N,), optional
        Names for the error messages.

    Returns
    -------
    ndarray, (N, 4, L) float32, C-contiguous
        ``X`` itself, not a copy, where it is that already.

    Raises
    ------
    InputError
        For wrong shape, length or letters, NaN, or a column that is neither one-hot nor all zero.
    """
    strings = _strings_in(X)
    if strings is not None:
        return _expand(_codes_of_strings(strings, length, names))
    array = _checked_array(X, length, names)
    return np.ascontiguousarray(array, dtype=np.float32)


def encode(
    X: Any, length: int | None = None, names: Sequence[str] | None = None
) -> npt.NDArray[np.int8]:
    """Turn strings or one-hot into codes.

    Parameters
    ----------
    X, length, names
        As in :func:`as_one_hot`.

    Returns
    -------
    ndarray, (N, L) int8
        0..3 for A, C, G, T; 4 for N.

    Raises
    ------
    InputError
        As :func:`as_one_hot`.
    """
    strings = _strings_in(X)
    if strings is not None:
        return _codes_of_strings(strings, length, names)
    array = _checked_array(X, length, names)
    codes = np.empty((array.shape[0], array.shape[2]), dtype=np.int8)
    for rows in _blocks(array):
        codes[rows] = codes_of(array[rows])
    return codes


def codes_of(array: npt.NDArray[Any]) -> npt.NDArray[np.int8]:
    """Codes (..., L) of one-hot columns (..., 4, L) that have been checked."""
    # Columns are one-hot or zero, so the distances of the bases from N add up.
    a, c, g, t = np.moveaxis((array != 0).view(np.int8), -2, 0)
    return UNKNOWN - 4 * a - 3 * c - 2 * g - t


def from_codes(codes: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Turn codes into one-hot.

    Parameters
    ----------
    codes : array, (N, L) or (L,), integer
        0..3 for A, C, G, T; 4 for N.

    Returns
    -------
    ndarray, (N, 4, L) float32

    Raises
    ------
    InputError
        For another shape, type or value.
    """
    return _expand(_checked_codes(codes))


def decode(X: Any) -> list[str]:
    """Turn one-hot into upper-case strings.

    Parameters
    ----------
    X : array, (N, 4, L) or (4, L)

    Returns
    -------
    list of str, N strings of length L

    Raises
    ------
    InputError
        As :func:`as_one_hot`.
    """
    return decode_codes(encode(X))


def decode_codes(codes: npt.ArrayLike) -> list[str]:
    """Turn codes into upper-case strings.

    Parameters
    ----------
    codes : array, (N, L) or (L,), integer
        0..3 for A, C, G, T; 4 for N.

    Returns
    -------
    list of str, N strings of length L

    Raises
    ------
    InputError
        For another shape, type or value.
    """
    return [row.tobytes().decode("ascii") for row in _BYTE_OF_CODE[_checked_codes(codes)]]


def on_host(array: Any) -> Any:
    """A copy on the host of an array that lies on a GPU (``__cuda_array_interface__``); anything
    else as it is. CuPy, PyTorch and Numba each have a name of their own for it."""
    if hasattr(array, "__cuda_array_interface__"):
        for name in ("get", "copy_to_host", "cpu"):
            if hasattr(array, name):
                return getattr(array, name)()
    return array


def _expand(codes: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
    out = np.empty((codes.shape[0], 4, codes.shape[1]), dtype=np.float32)
    for base in range(4):
        out[:, base, :] = codes == base
    return out


def _blocks(array: npt.NDArray[Any]) -> Iterator[slice]:
    """Cut the rows of an (N, 4, L) array into slices."""
    rows = max(1, _BLOCK_ELEMENTS // (4 * array.shape[2]))
    for first in range(0, array.shape[0], rows):
        yield slice(first, first + rows)


def _label(index: int, names: Sequence[str] | None) -> str:
    return f"sequence {index}" if names is None else f"sequence {index} ({names[index]})"


def _check_names(n: int, names: Sequence[str] | None) -> None:
    if names is not None and len(names) != n:
        raise InputError(f"{len(names)} names for {n} sequences; pass one name for each sequence")


def _as_list(sequences: Sequence[str] | str) -> list[str]:
    # A bare string is one sequence, not a list of one-letter sequences.
    if isinstance(sequences, str):
        return [sequences]
    try:
        return list(sequences)
    except TypeError:
        raise InputError(
            f"sequences of type {type(sequences).__name__}: wanted strings over ACGTN; pass a list"
        ) from None


def _strings_in(X: Any) -> list[str] | None:
    """Return X as a list if it holds strings (or nothing at all), None if it is numeric."""
    if isinstance(X, str):
        return [X]
    if isinstance(X, list | tuple):
        return list(X) if not X or any(isinstance(item, str | bytes) for item in X) else None
    array = np.asarray(on_host(X))
    if array.dtype.kind in "USTO" and array.ndim == 1:
        return [item for item in array.tolist()]
    return None


def _codes_of_strings(
    sequences: list[str], length: int | None, names: Sequence[str] | None
) -> npt.NDArray[np.int8]:
    if not sequences:
        raise InputError("no sequences: the list is empty; pass at least one string over ACGTN")
    _check_names(len(sequences), names)
    for index, sequence in enumerate(sequences):
        if not isinstance(sequence, str):
            raise InputError(
                f"{_label(index, names)} is of type {type(sequence).__name__}; "
                "pass str for every sequence, or one numeric array (N, 4, L)"
            )
    lengths = np.fromiter(map(len, sequences), dtype=np.int64, count=len(sequences))
    if not lengths.all():
        index = int(np.argmin(lengths))
        raise InputError(f"{_label(index, names)} is empty; remove it or give its letters")
    wanted = int(lengths[0]) if length is None else length
    if (lengths != wanted).any():
        index = int(np.argmax(lengths != wanted))
        raise _length_error(index, int(lengths[index]), length, wanted, names)

    # errors="replace" writes one byte for each character, so positions stay right.
    raw = np.frombuffer("".join(sequences).encode("ascii", "replace"), dtype=np.uint8)
    codes = _CODE_OF_BYTE[raw]
    if codes.max() == _INVALID:
        index, position = divmod(int(np.argmax(codes)), wanted)
        raise InputError(
            f"{_label(index, names)}, position {position} (0-based): letter "
            f"{sequences[index][position]!r} is not one of A, C, G, T, N; "
            "replace ambiguous letters by N"
        )
    return codes.reshape(len(sequences), wanted)


def _length_error(
    index: int, found: int, length: int | None, wanted: int, names: Sequence[str] | None
) -> InputError:
    if length is None:
        return InputError(
            f"{_label(index, names)} has length {found} where {_label(0, names)} has {wanted}; "
            "make all sequences equally long"
        )
    return InputError(
        f"{_label(index, names)} has length {found}, wanted {wanted}; trim it or pad it with N"
    )


def _checked_array(
    X: Any, length: int | None, names: Sequence[str] | None
) -> npt.NDArray[np.generic]:
    """Return X as (N, 4, L) in its own type, every column checked."""
    try:
        array = np.asarray(on_host(X))
    except ValueError:
        raise InputError(
            "sequences of unequal shape cannot be made one array; pass one array (N, 4, L)"
        ) from None
    if array.dtype.kind not in "biuf":
        raise InputError(
            f"sequences of type {array.dtype}: wanted strings over ACGTN or a one-hot array "
            "(N, 4, L) of real numbers"
        )
    shape = array.shape
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or array.shape[1] != 4:
        raise InputError(_shape_message(shape))
    if array.shape[0] == 0 or array.shape[2] == 0:
        raise InputError(f"no sequences: the array has shape {shape}; wanted (N, 4, L), N, L >= 1")
    _check_names(array.shape[0], names)
    if length is not None and array.shape[2] != length:
        raise _length_error(0, array.shape[2], length, length, names)
    _check_columns(array, names)
    return array


def _shape_message(shape: tuple[int, ...]) -> str:
    message = f"sequences have shape {shape}, wanted (N, 4, L) with channels A, C, G, T"
    if len(shape) == 3 and shape[2] == 4:
        return f"{message}; the channels are last: pass X.transpose(0, 2, 1)"
    if len(shape) == 2 and shape[1] == 4:
        return f"{message}; the channels are last: pass X.T"
    if len(shape) == 4 and 1 in shape[1:]:
        return f"{message}; drop the axis of length 1"
    return f"{message}, or (4, L) for one sequence; reshape the array"


def _check_columns(array: npt.NDArray[Any], names: Sequence[str] | None) -> None:
    """Refuse any column of an (N, 4, L) array that is neither one-hot nor all zero."""
    for rows in _blocks(array):
        block = array[rows]
        ones = block == 1
        bad = ((block != 0) & ~ones).any(axis=1) | (ones.sum(axis=1, dtype=np.int8) > 1)
        if bad.any():
            row, position = divmod(int(np.argmax(bad)), array.shape[2])
            column = block[row, :, position].astype(np.float64)
            found = ", ".join(f"{value:g}" for value in column)
            where = f"{_label(rows.start + row, names)}, position {position} (0-based)"
            if np.isnan(column).any():
                raise InputError(f"{where}: NaN in the column [{found}]; use all zeros for N")
            raise InputError(
                f"{where}: the column [{found}] is neither one-hot nor all zero; "
                "pass exactly one 1 for a base, four 0 for N"
            )


def _checked_codes(codes: npt.ArrayLike) -> npt.NDArray[np.int8]:
    array = np.asarray(codes)
    if array.ndim == 1:
        array = array[None]
    if array.ndim != 2 or array.dtype.kind not in "iu":
        raise InputError(
            f"codes have shape {np.shape(codes)} and type {array.dtype}; "
            "wanted integers (N, L): 0..3 for A, C, G, T and 4 for N"
        )
    bad = (array < 0) | (array > UNKNOWN)
    if bad.any():
        index, position = divmod(int(np.argmax(bad)), array.shape[1])
        raise InputError(
            f"sequence {index}, position {position} (0-based): code {array[index, position]} is "
            "not in 0..4; use 0..3 for A, C, G, T and 4 for N"
        )
    return array.astype(np.int8, copy=False)
