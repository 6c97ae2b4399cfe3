"""A writer of 2bit files, from the format's description; tests need files that nobody ships."""

import struct

CODES = {"T": 0, "C": 1, "A": 2, "G": 3}


def write_two_bit(path, contigs):
    """Write contigs, a mapping of name to bases over A, C, G, T and N."""
    header = struct.pack("<IIII", 0x1A412743, 0, len(contigs), 0)
    at = len(header) + sum(1 + len(name) + 4 for name in contigs)
    index, records = b"", b""
    for name, bases in contigs.items():
        index += struct.pack("<B", len(name)) + name.encode() + struct.pack("<I", at)
        record = _record(bases)
        records += record
        at += len(record)
    path.write_bytes(header + index + records)


def _record(bases):
    blocks = []
    for i, base in enumerate(bases):
        if base == "N" and (i == 0 or bases[i - 1] != "N"):
            blocks.append((i, len(bases[i:]) - len(bases[i:].lstrip("N"))))
    record = struct.pack("<II", len(bases), len(blocks))
    record += b"".join(struct.pack("<I", start) for start, _ in blocks)
    record += b"".join(struct.pack("<I", count) for _, count in blocks)
    record += struct.pack("<II", 0, 0)  # nothing is masked; reserved
    codes = [CODES.get(base, 0) for base in bases] + [0] * (-len(bases) % 4)
    return record + bytes(
        a << 6 | b << 4 | c << 2 | d
        for a, b, c, d in zip(*(codes[i::4] for i in range(4)), strict=True)
    )
