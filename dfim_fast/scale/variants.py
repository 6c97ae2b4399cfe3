"""Variants of a genome or of sequences: the public functions."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from dfim_fast.errors import InputError
from dfim_fast.io.vcf import cut_variants, read_vcf
from dfim_fast.maps.features import REQUIRED
from dfim_fast.maps.model import Model
from dfim_fast.maps.variant import VariantCall

SHOWN = 3
BLOCK = 1000  # variants whose sequences are held at a time


def variant_interactions(
    model: Model,
    genome_or_sequences: Any,
    variants: pd.DataFrame | str | os.PathLike[str],
    flank: int | None = 15,
    *,
    method: str = "deeplift",
    references: Any = "dinucleotide",
    n_references: int = 20,
    gc: float = 0.46,
    random_state: int = 0,
    task: int | str | Sequence[int | str] = 0,
    contribution: str = "projected",
    maxpool: str = "shap",
    epsilon: float = 1e-6,
    backend: str = "auto",
    memory_limit: int | None = None,
    threads: int | None = None,
    names: Sequence[str] | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """How the importance of the bases around a variant changes with its allele.

    ``FIS(t | ref -> alt) = C_ref(t) - C_alt(t)`` for every base t up to ``flank`` bases away. Bases
    behind an insertion or deletion are compared with themselves where they have moved to
    (maps/sites.py); all alleles share the references of the reference sequence.

    Parameters
    ----------
    model : Model
    genome_or_sequences : path, list of str, or one-hot array (N, 4, L)
        An indexed FASTA that sequences are cut from, each variant in the middle; or the sequences.
    variants : DataFrame, or path of a VCF
        With a genome: ``chrom``, ``pos`` (1-based), ``ref``, ``alt``; with sequences: ``sequence``
        (name or index), ``offset`` (0-based), ``ref``, ``alt``. Several alternate alleles are
        joined by commas; without ``alt`` all three other bases are tried. ``ref`` is checked.
    flank : int, optional
        None for all bases.
    method, references, n_references, gc, random_state, task, contribution, maxpool, epsilon,
    backend, memory_limit, threads, names, progress
        As in `interaction_map`.

    Returns
    -------
    DataFrame
        A row per variant, allele, task and target: variant, sequence, ref, alt, source, target,
        target_base, offset, distance, task, fis, delta_importance (alternate minus reference),
        standard_error, target_importance, self_effect, prediction, mutant_prediction, effect,
        max_abs_fis of the variant, and whether the row is its ``strongest``.

    Raises
    ------
    InputError, SettingsError, BackendError

    Examples
    --------
    >>> import dfim_fast
    >>> from importlib.resources import files
    >>> model = dfim_fast.load_model(files("dfim_fast") / "data" / "demo.onnx")
    >>> import pandas as pd
    >>> variants = pd.DataFrame({"sequence": [0], "offset": [100], "ref": ["A"], "alt": ["G"]})
    >>> table = dfim_fast.variant_interactions(
    ...     model, ["ACGTT" * 40], variants, method="gradient", progress=False
    ... )
    >>> len(table), table["variant"][0]
    (30, '0:100:A:G')
    """
    given = {
        "method": method, "references": references, "n_references": n_references, "gc": gc,
        "random_state": random_state, "task": task, "contribution": contribution,
        "maxpool": maxpool, "epsilon": epsilon, "backend": backend, "memory_limit": memory_limit,
        "threads": threads,
    }  # fmt: skip
    tables = [
        call.table(flank, progress)
        for call, _ in calls(model, genome_or_sequences, variants, names, given)
    ]
    table = pd.concat(tables, ignore_index=True)
    table.attrs = tables[0].attrs
    return table


def explain_variants(
    model: Model,
    genome_or_sequences: Any,
    variants: pd.DataFrame | str | os.PathLike[str],
    features: pd.DataFrame | None = None,
    *,
    progress: bool = True,
    names: Sequence[str] | None = None,
    **settings: Any,
) -> pd.DataFrame:
    """Split each variant's predicted effect, exactly, into itself, each motif and the rest.

    ``Y(alt) - Y(ref)`` is minus the self effect minus the sum of FIS over all other bases.

    Parameters
    ----------
    model, genome_or_sequences, variants
        As in `variant_interactions`.
    features : DataFrame, optional
        Motifs: ``sequence``, ``start``, ``end``, ``name``; with a genome ``chrom`` in place of
        ``sequence``, and positions on it. Those that leave a variant's sequence are left out.
    progress : bool
    names : list of str, optional
    **settings
        Of `variant_interactions`; method, contribution and maxpool stay at their defaults.

    Returns
    -------
    DataFrame
        A row per variant, allele, task and part: variant, ref, alt, task, part, kind (self, motif,
        rest), start, end, delta_importance (what the part adds to the effect), standard_error,
        share, effect, prediction.

    Raises
    ------
    InputError, SettingsError, BackendError

    Examples
    --------
    >>> import dfim_fast
    >>> from importlib.resources import files
    >>> model = dfim_fast.load_model(files("dfim_fast") / "data" / "demo.onnx")
    >>> import pandas as pd
    >>> variants = pd.DataFrame({"sequence": [0], "offset": [100], "ref": ["A"], "alt": ["G"]})
    >>> parts = dfim_fast.explain_variants(model, ["ACGTT" * 40], variants, progress=False)
    >>> parts["part"].tolist()
    ['variant A>G', 'rest']
    >>> bool(abs(parts["delta_importance"].sum() - parts["effect"][0]) < 1e-4)
    True
    """
    if features is not None and isinstance(genome_or_sequences, str | os.PathLike):
        variants = variants if isinstance(variants, pd.DataFrame) else read_vcf(variants)
        check_contigs(features, variants)
    tables = []
    for call, starts in calls(model, genome_or_sequences, variants, names, settings):
        own = features if starts is None else features_around(features, starts, model)
        tables.append(call.explain(own, progress))
    return pd.concat(tables, ignore_index=True)


def calls(
    model: Model,
    where: Any,
    variants: Any,
    names: Sequence[str] | None,
    settings: dict[str, Any],
) -> Iterator[tuple[VariantCall, list[tuple[str, int]] | None]]:
    """Checked calls, a block of variants each, with contig and start of the sequences."""
    given: dict[str, Any] = variant_interactions.__kwdefaults__ or {}
    unknown = [name for name in settings if name not in given]
    if unknown:
        raise TypeError(f"variant_interactions has no argument {unknown[0]!r}")
    given = {name: value for name, value in given.items() if name not in ("names", "progress")}
    settings = {**given, **settings}
    table = variants if isinstance(variants, pd.DataFrame) else read_vcf(variants)
    if not isinstance(where, str | os.PathLike):
        yield VariantCall(model, where, table, {**settings, "names": names}), None
        return
    for first in range(0, len(table), BLOCK):
        labels, sequences, own = cut_variants(
            table.iloc[first : first + BLOCK], where, model.sequence_length
        )
        starts = [(name.rsplit(":", 1)[0], int(name.rsplit(":", 1)[1].split("-")[0]))
                  for name in labels]  # fmt: skip
        yield VariantCall(model, sequences, own, {**settings, "names": labels}), starts


def check_contigs(features: pd.DataFrame, variants: pd.DataFrame) -> None:
    """Refuse features of a genome that share no contig with the variants.

    Raises
    ------
    InputError
    """
    if "chrom" not in features.columns:
        raise InputError(
            "features have no column 'chrom' (they have: "
            f"{', '.join(map(str, features.columns))}); wanted chrom, start, end, name"
        )
    if not features["chrom"].isin(set(variants["chrom"])).any():
        raise InputError(
            f"features lie on {', '.join(map(str, features['chrom'].unique()[:SHOWN]))}, variants "
            f"on {', '.join(map(str, variants['chrom'].unique()[:SHOWN]))}: use the contig names "
            "of the genome for both"
        )


def features_around(
    features: pd.DataFrame | None, starts: list[tuple[str, int]], model: Model
) -> pd.DataFrame | None:
    """Features of a genome on the sequences that start at (chrom, start), by index."""
    if features is None:
        return None
    parts = []
    for chrom, own in features.groupby("chrom", sort=False):
        for row, (contig, start) in enumerate(starts):
            if contig == chrom:
                inside = (own["start"] >= start) & (own["end"] <= start + model.sequence_length)
                found = own[inside]
                parts.append(found.assign(
                    sequence=row, start=found["start"] - start, end=found["end"] - start
                ))  # fmt: skip
    kept = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(REQUIRED))
    return kept.drop(columns="chrom", errors="ignore")
