import hashlib

import numpy as np
import pytest
from scipy.stats import chisquare

from dfim_fast.errors import SettingsError
from dfim_fast.sequence.random import (
    STREAM_WORDS,
    bounded,
    content_keys,
    next_word,
    philox4x32,
    start_stream,
)


def _stream(key=0, k=0):
    stream = np.empty(STREAM_WORDS, dtype=np.uint32)
    start_stream(stream, np.uint64(key), np.uint64(k))
    return stream


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ([0] * 4, [0] * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ],
)
def test_known_answers(counter, key, words):
    got = philox4x32(*(np.uint32(word) for word in counter + key))
    assert " ".join(f"{int(word):08x}" for word in got) == words


def _plain_philox(counter, key):
    """The published rounds in Python integers."""
    c, (k0, k1) = list(counter), key
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k0, b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ k1, a & 0xFFFFFFFF]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c


def test_stream_is_key_block_and_k():
    key, k = 0x0123456789ABCDEF, 0xFEDCBA9876543210
    stream = _stream(key, k)
    words = [int(next_word(stream)) for _ in range(12)]
    expected = []
    for block in range(3):
        expected += _plain_philox([block, 0, 0x76543210, 0xFEDCBA98], (0x89ABCDEF, 0x01234567))
    assert words == expected


def test_block_counter_carries():
    stream = _stream()
    stream[2] = 0xFFFFFFFF
    words = [int(next_word(stream)) for _ in range(8)]
    assert words == _plain_philox([0xFFFFFFFF, 0, 0, 0], (0, 0)) + _plain_philox(
        [0, 1, 0, 0], (0, 0)
    )


@pytest.mark.parametrize("n", [1, 2, 3, 7, 1000])
def test_bounded_is_uniform(n):
    stream = _stream(key=5)
    draws = np.array([bounded(stream, n) for _ in range(20000)])
    assert draws.min() >= 0
    assert draws.max() < n
    if n > 1:
        assert chisquare(np.bincount(draws, minlength=n)).pvalue > 1e-3


def test_bounded_rejects():
    # Three quarters of 2**32: without rejection a third of the values would come twice as often.
    n = 3 << 30
    stream = _stream(key=6)
    draws = np.array([bounded(stream, n) for _ in range(20000)])
    assert chisquare(np.bincount(draws % 3, minlength=3)).pvalue > 1e-3
    stream = _stream(key=6)
    for draw in draws[:100]:
        word = int(next_word(stream))
        while (word * n) % 2**32 < 2**32 % n:
            word = int(next_word(stream))
        assert draw == (word * n) >> 32


def test_keys():
    keys = content_keys(7, "reference", [b"\0\1", b"\0\1\2", b"\0\1"])
    assert keys.dtype == np.uint64
    expected = hashlib.blake2b(b"7:9:reference:\0\1", digest_size=8, person=b"dfim_fast").digest()
    assert int(keys[0]) == int.from_bytes(expected, "little")
    assert keys[0] == keys[2]
    others = [
        keys[1],
        content_keys(8, "reference", [b"\0\1"])[0],
        content_keys(-7, "reference", [b"\0\1"])[0],
        content_keys(7, "null", [b"\0\1"])[0],
        content_keys(np.int64(7), "reference:", [b"\0\1"])[0],
    ]
    assert len({int(key) for key in [keys[0], *others]}) == 6
    assert content_keys(np.int64(7), "reference", [b"\0\1"])[0] == keys[0]
    assert content_keys(0, "reference", []).shape == (0,)


@pytest.mark.parametrize("seed", [None, 1.5, "0", True])
def test_bad_seed(seed):
    with pytest.raises(SettingsError, match=r"random_state=.*: pass an integer"):
        content_keys(seed, "reference", [b""])
