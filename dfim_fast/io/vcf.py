"""Variants from VCF, the sequences around them, and VCF with what was found."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pysam

from dfim_fast.errors import InputError
from dfim_fast.io.genome import Genome, fetch, open_genome, quiet_htslib

_BASES = set("ACGT")
SHOWN = 3


def read_vcf(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read the variants of a VCF.

    Parameters
    ----------
    path : path
        VCF, plain or gzipped, or BCF.

    Returns
    -------
    DataFrame
        ``chrom``, ``pos`` (1-based), ``id``, ``ref``, ``alt`` (joined by commas), ``record`` (from
        0). Alleles that name no bases (<DEL>, *, breakends) are left out with a warning.

    Raises
    ------
    InputError
        If the file is missing, no VCF, or holds no variant with bases.
    """
    found, strange = [], []
    for number, record in enumerate(_records(path)):
        alts = record.alts or ()
        bases = [alt for alt in alts if alt and not set(alt.upper()) - _BASES]
        if len(bases) < len(alts) or set(record.ref.upper()) - _BASES or not alts:
            strange.append(f"{record.chrom}:{record.pos}:{record.ref}:{','.join(alts) or '.'}")
        if bases and not set(record.ref.upper()) - _BASES:
            found.append((record.chrom, record.pos, record.id or ".", record.ref.upper(),
                          ",".join(b.upper() for b in bases), number))  # fmt: skip
    if strange:
        warnings.warn(
            f"{path}: {len(strange)} records hold alleles that are not bases and are left out, "
            f"such as {', '.join(strange[:SHOWN])}",
            stacklevel=2,
        )
    if not found:
        raise InputError(f"{path}: no variant with bases; wanted records with REF and ALT")
    return pd.DataFrame(found, columns=["chrom", "pos", "id", "ref", "alt", "record"])


def cut_variants(
    variants: pd.DataFrame, genome_path: str | os.PathLike[str], length: int
) -> tuple[list[str], list[str], pd.DataFrame]:
    """Cut a sequence around each variant, its first base at ``length // 2``.

    Parameters
    ----------
    variants : DataFrame
        ``chrom``, ``pos`` (1-based), perhaps ``ref`` and ``alt``.
    genome_path : path
        FASTA with its ``.fai`` index.
    length : int

    Returns
    -------
    names : list of str
        ``chrom:start-end`` of the sequences, 0-based and half-open.
    sequences : list of str
    variants : DataFrame
        Those whose sequence lies on its contig, with ``sequence`` (an index), ``offset`` and
        ``after``, the bases that follow the sequence; the others are left out with a warning.

    Raises
    ------
    InputError
        If a file, contig or position does not exist, REF differs from the genome, or no variant is
        left.
    """
    missing = [name for name in ("chrom", "pos") if name not in variants.columns]
    if missing:
        raise InputError(f"variants have no column {', '.join(map(repr, missing))}; wanted chrom, "
                         "pos (1-based), ref, alt")  # fmt: skip
    names, sequences, after, rows, outside = [], [], [], [], []
    with quiet_htslib(), open_genome(genome_path) as genome:
        sizes = dict(zip(genome.references, genome.lengths, strict=True))
        for row in range(len(variants)):
            chrom, pos = str(variants["chrom"].iloc[row]), int(variants["pos"].iloc[row])
            _check_place(genome, genome_path, sizes, variants, row, chrom, pos)
            start = pos - 1 - length // 2
            if start < 0 or start + length > sizes[chrom]:
                outside.append(f"{chrom}:{pos}")
                continue
            ref = str(variants["ref"].iloc[row]) if "ref" in variants.columns else ""
            names.append(f"{chrom}:{start}-{start + length}")
            sequences.append(fetch(genome, chrom, start, start + length))
            end = min(start + length + len(ref), sizes[chrom])
            after.append(fetch(genome, chrom, start + length, end))
            rows.append(row)
    if outside:
        warnings.warn(
            f"{len(outside)} variants are nearer to a contig's end than the model's {length} bases "
            f"reach and are left out, such as {', '.join(outside[:SHOWN])}",
            stacklevel=2,
        )
    if not rows:
        raise InputError("variants: none is left to compute")
    kept = variants.iloc[rows].reset_index(drop=True)
    return names, sequences, kept.assign(
        sequence=np.arange(len(rows)), offset=length // 2, after=after
    )  # fmt: skip


def check_places(variants: pd.DataFrame, genome_path: str | os.PathLike[str]) -> dict[str, int]:
    """Refuse variants that are not of a genome, before anything is computed for them.

    Parameters
    ----------
    variants : DataFrame
        As `read_vcf` gives them.
    genome_path : path

    Returns
    -------
    dict
        Bases of each contig.

    Raises
    ------
    InputError
        If a contig or position does not exist, or REF differs from the genome.
    """
    with quiet_htslib(), open_genome(genome_path) as genome:
        sizes = dict(zip(genome.references, genome.lengths, strict=True))
        places = zip(variants["chrom"].tolist(), variants["pos"].tolist(), strict=True)
        for row, (chrom, pos) in enumerate(places):
            _check_place(genome, genome_path, sizes, variants, row, chrom, pos)
    return sizes


def write_vcf(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    fields: Mapping[str, tuple[str, str, str]],
    values: Mapping[int, Mapping[str, Any]],
) -> None:
    """Copy a VCF with INFO fields added.

    Parameters
    ----------
    path, out : path
    fields : mapping
        Name of a field to (number, type, description), as in the header.
    values : mapping
        Number of a record, from 0, to its fields.

    Raises
    ------
    InputError
        If ``path`` is no VCF.
    OSError
        If ``out`` cannot be written.
    """
    with quiet_htslib(), _open_vcf(path) as source:
        for name, (size, kind, text) in fields.items():
            source.header.add_meta("INFO", items=[
                ("ID", name), ("Number", size), ("Type", kind), ("Description", text)
            ])  # fmt: skip
        with open(out, "w", encoding="utf-8") as target:
            target.write(str(source.header))
            for number, record in enumerate(source):
                for name, value in values.get(number, {}).items():
                    record.info[name] = value
                target.write(str(record))


def _records(path: str | os.PathLike[str]) -> Any:
    with quiet_htslib(), _open_vcf(path) as source:
        try:
            yield from source
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path}: a record cannot be read ({error}); wanted VCF; check it with bcftools"
            ) from None


def _open_vcf(path: str | os.PathLike[str]) -> pysam.VariantFile:
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such VCF file; check the path")
    try:
        return pysam.VariantFile(os.fspath(path))
    except (OSError, ValueError):
        raise InputError(f"{path}: cannot be read as VCF; wanted VCF, plain or gzipped") from None


def _check_place(
    genome: Genome, genome_path: Any, sizes: Mapping[str, int], variants: pd.DataFrame, row: int,
    chrom: str, pos: int,
) -> None:  # fmt: skip
    if chrom not in sizes:
        raise InputError(
            f"variants, row {row}: {genome_path} has no contig {chrom!r} (it has "
            f"{', '.join(list(sizes)[:SHOWN])}, ...); use the assembly and the contig "
            "names that the variants were called with"
        )
    if not 1 <= pos <= sizes[chrom]:
        raise InputError(
            f"variants, row {row}: {chrom}:{pos} is outside {chrom} ({sizes[chrom]} "
            "bases); pos is 1-based"
        )
    if "ref" not in variants.columns:
        return
    ref = str(variants["ref"].iloc[row]).upper()
    there = fetch(genome, chrom, pos - 1, pos - 1 + len(ref))
    if ref not in (".", there):
        name = f" ({variants['id'].iloc[row]})" if "id" in variants.columns else ""
        raise InputError(
            f"variants, row {row}: {chrom}:{pos}{name} has REF {ref}, but {genome_path} has "
            f"{there or 'nothing'} there; use the assembly that the variants were called with"
        )
