"""Counter-based random numbers: Philox4x32-10 (Salmon et al., SC 2011).

A draw is a pure function of (key, k, number of the draw), so the k-th shuffle of a sequence is the
same in any batch, order, worker or backend. The 64-bit key is a hash of seed, purpose and sequence
content; the 128-bit counter is (block, k), 64 bits each, low word first; one block is four 32-bit
words. The functions work on scalars and one small array, so that a CUDA kernel can repeat them
word for word.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from dfim_fast.errors import SettingsError
from dfim_fast.jit import entry

_M0 = np.uint64(0xD2511F53)
_M1 = np.uint64(0xCD9E8D57)
_W0 = np.uint32(0x9E3779B9)
_W1 = np.uint32(0xBB67AE85)
_SHIFT = np.uint64(32)

# A stream is one uint32 array: the key, the counter of the next block, the words of the current
# block, and how many of them are used.
STREAM_WORDS = 11
_KEY, _COUNTER, _BUFFER, _USED = 0, 2, 6, 10


def content_keys(
    random_state: int, purpose: str, contents: Iterable[bytes]
) -> npt.NDArray[np.uint64]:
    """Hash seed, purpose and content into Philox keys.

    Parameters
    ----------
    random_state : int
        The user's seed, any integer.
    purpose : str
        What the numbers are for, such as ``"reference"``; other purposes give other numbers.
    contents : iterable of bytes, n items
        One item for each key, usually the codes of a sequence.

    Returns
    -------
    ndarray, (n,) uint64

    Raises
    ------
    SettingsError
        If ``random_state`` is not an integer.
    """
    if isinstance(random_state, bool) or not isinstance(random_state, int | np.integer):
        raise SettingsError(f"random_state={random_state!r}: pass an integer, such as 0")
    # The length of the purpose makes the prefix unambiguous whatever the purpose contains.
    prefix = f"{int(random_state)}:{len(purpose)}:{purpose}:".encode()
    base = hashlib.blake2b(prefix, digest_size=8, person=b"dfim_fast")
    keys = []
    for content in contents:
        digest = base.copy()
        digest.update(content)
        keys.append(int.from_bytes(digest.digest(), "little"))
    return np.array(keys, dtype=np.uint64)


@entry
def philox4x32(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Any:
    """Return the four uint32 words of Philox4x32-10 for a counter and a key of uint32 words."""
    for _ in range(10):
        p0 = _M0 * np.uint64(c0)
        p1 = _M1 * np.uint64(c2)
        c0 = np.uint32(np.uint32(p1 >> _SHIFT) ^ c1 ^ k0)
        c1 = np.uint32(p1)
        c2 = np.uint32(np.uint32(p0 >> _SHIFT) ^ c3 ^ k1)
        c3 = np.uint32(p0)
        k0 = np.uint32(k0 + _W0)
        k1 = np.uint32(k1 + _W1)
    return c0, c1, c2, c3


@entry
def start_stream(stream: Any, key: Any, k: Any) -> None:
    """Set ``stream`` (STREAM_WORDS,) uint32 to the first draw of item ``k`` under a uint64 key."""
    stream[_KEY] = np.uint32(key)
    stream[_KEY + 1] = np.uint32(key >> _SHIFT)
    stream[_COUNTER] = 0
    stream[_COUNTER + 1] = 0
    stream[_COUNTER + 2] = np.uint32(k)
    stream[_COUNTER + 3] = np.uint32(np.uint64(k) >> _SHIFT)
    stream[_USED] = 4


@entry
def next_word(stream: Any) -> Any:
    """Return the stream's next uint32."""
    if stream[_USED] == 4:
        w0, w1, w2, w3 = philox4x32(
            stream[_COUNTER],
            stream[_COUNTER + 1],
            stream[_COUNTER + 2],
            stream[_COUNTER + 3],
            stream[_KEY],
            stream[_KEY + 1],
        )
        stream[_BUFFER] = w0
        stream[_BUFFER + 1] = w1
        stream[_BUFFER + 2] = w2
        stream[_BUFFER + 3] = w3
        stream[_COUNTER] = np.uint32(stream[_COUNTER] + np.uint32(1))
        if stream[_COUNTER] == 0:
            stream[_COUNTER + 1] = np.uint32(stream[_COUNTER + 1] + np.uint32(1))
        stream[_USED] = 0
    word = stream[_BUFFER + stream[_USED]]
    stream[_USED] += np.uint32(1)
    return word


@entry
def bounded(stream: Any, n: Any) -> Any:
    """Return an unbiased integer in 0..n-1, 1 <= n < 2**32, as int64.

    Lemire's method (2019): the high word of word * n, redrawn while the low word falls in the
    part of 0..2**32-1 that n does not divide evenly.
    """
    bound = np.uint64(n)
    product = np.uint64(next_word(stream)) * bound
    if np.uint32(product) < bound:
        threshold = ((np.uint64(1) << _SHIFT) - bound) % bound
        while np.uint64(np.uint32(product)) < threshold:
            product = np.uint64(next_word(stream)) * bound
    return np.int64(product >> _SHIFT)
