"""What variants do to the importance of the bases around them (the paper's section 3.3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from dfim_fast.backends.base import Effects
from dfim_fast.errors import SettingsError
from dfim_fast.maps.effects import Ask, run_effects
from dfim_fast.maps.features import check_features
from dfim_fast.maps.model import Model
from dfim_fast.maps.request import Request, made_with, make_request
from dfim_fast.maps.sites import Allele, check_variants
from dfim_fast.plan.plan import is_additive
from dfim_fast.plan.planner import whole_number
from dfim_fast.sequence.mutants import spans
from dfim_fast.sequence.one_hot import ALPHABET, UNKNOWN, encode, from_codes

# Columns of a table of variants: a row per variant, allele, task and target.
COLUMNS = {
    "variant": "chrom:pos:ref:alt, pos 1-based; or sequence:offset:ref:alt, offset 0-based",
    "id": "name of the variant, where it has one",
    "sequence": "name of the sequence",
    "ref": "reference allele",
    "alt": "alternate allele",
    "source": "first changed position in the sequence, 0-based",
    "target": "position whose importance is read, 0-based, in the reference",
    "target_base": "observed base there",
    "offset": "target relative to the changed bases: negative on the left",
    "distance": "bases between the target and the nearest changed base, 1 for neighbours",
    "task": "name of the task",
    "fis": "importance the target lost: reference minus alternate",
    "delta_importance": "-fis: alternate minus reference",
    "standard_error": "of fis, over groups of references; empty where there are none",
    "target_importance": "importance of the target with the reference allele",
    "self_effect": "importance that the changed bases lost themselves",
    "prediction": "score with the reference allele",
    "mutant_prediction": "score with the alternate allele",
    "effect": "mutant_prediction minus prediction",
    "max_abs_fis": "largest |fis| of the variant, over its alleles and targets",
    "strongest": "whether this row has it",
}
PARTS = {
    "variant": COLUMNS["variant"],
    "id": COLUMNS["id"],
    "sequence": COLUMNS["sequence"],
    "ref": COLUMNS["ref"],
    "alt": COLUMNS["alt"],
    "task": COLUMNS["task"],
    "part": "the variant itself, a motif, or the rest of the sequence",
    "kind": "self, motif or rest",
    "start": "first position of a motif, 0-based",
    "end": "behind its last position",
    "delta_importance": "what the part adds to the effect: alternate minus reference",
    "standard_error": "of it, over groups of references; empty where there are none",
    "share": "delta_importance over the effect",
    "effect": "score with the alternate allele minus score with the reference allele",
    "prediction": COLUMNS["prediction"],
}


@dataclass(frozen=True)
class Change:
    """What one allele does. W targets outside the change, in the original's coordinates.

    Attributes
    ----------
    allele : Allele
    targets : ndarray (W,)
    lost : ndarray (G, K, W)
    own : ndarray (G, K)
        Importance of the replaced bases minus that of the new ones.
    total : ndarray (G, K)
        Sum of the importance lost anywhere.
    effects : Effects
        Of the original: its importance, its groups.
    mutant_predictions : ndarray (K,)
    """

    allele: Allele
    targets: np.ndarray
    lost: np.ndarray
    own: np.ndarray
    total: np.ndarray
    effects: Effects
    mutant_predictions: np.ndarray


class VariantCall:
    """Variants of sequences, checked.

    Parameters
    ----------
    model : Model
    X : list of str, or one-hot array (N, 4, L)
    variants : DataFrame
        As `check_variants` reads it; ``after``, where there is such a column, are the bases that
        follow the sequence, which a deletion draws in.
    settings : dict
        method, references, n_references, gc, random_state, task, contribution, maxpool, epsilon,
        backend, memory_limit, threads, names.

    Raises
    ------
    InputError, SettingsError, BackendError
    """

    def __init__(
        self, model: Model, X: Any, variants: pd.DataFrame, settings: dict[str, Any]
    ) -> None:
        middle = getattr(model, "sequence_length", 1) // 2
        self.request: Request = make_request(model, X, sources=[middle], window=0, **settings)
        self.codes = encode(self.request.x)
        self.sites = check_variants(variants, self.request.names, self.codes)
        self.variants = variants.reset_index(drop=True)

    def changes(self, flank: int | None, progress: bool) -> Iterator[Change]:
        """Every allele, by row of the table of variants; targets up to ``flank`` bases away."""
        asks: list[Ask] = []
        plans: list[list[tuple[Allele, int, int]]] = []  # of a site: allele, ask, mutant of the ask
        extra: list[np.ndarray] = []
        for site in self.sites:
            row = site[0].row
            plain = [a for a in site if not a.shift]
            first = len(asks)
            new = [encode([a.alt])[0] for a in plain]
            asks.append(Ask(
                row, spans([a.start for a in plain], [np.eye(4, dtype=np.float32)[c] for c in new]),
                self._around(site, flank),
            ))  # fmt: skip
            plan = [(a, first, m) for m, a in enumerate(plain)]
            for a in site:
                if a.shift:
                    plan.append((a, len(asks), 0))
                    asks.append(Ask(
                        len(self.codes) + len(extra), spans([], []), np.zeros(1, np.int64), row
                    ))  # fmt: skip
                    extra.append(a.mutate(self.codes[row], self._after(a)))
            plans.append(sorted(plan, key=lambda item: site.index(item[0])))
        request = self.request
        if extra:
            request = replace(request, x=np.concatenate([request.x, from_codes(np.stack(extra))]))
        results = run_effects(request, asks, progress, "variants")
        taken = 0
        for plan in plans:
            found: dict[int, tuple[Ask, Effects]] = {}
            while taken <= max(ask for _, ask, _ in plan) or not found:
                found[taken] = next(results)
                taken += 1
            original_ask, original = found[min(found)]
            for allele, ask, m in plan:
                if allele.shift:
                    yield self._shifted(allele, original_ask, original, found[ask][1], flank)
                else:
                    yield self._replaced(allele, original_ask, original, m, flank)

    def _around(self, site: Sequence[Allele], flank: int | None) -> np.ndarray:
        length = self.codes.shape[1]
        if flank is None:
            return np.arange(length)
        low = min(a.start for a in site) - flank
        high = max(a.end for a in site) + flank
        return np.arange(max(low, 0), min(high, length))

    def _after(self, allele: Allele) -> str:
        if "after" not in self.variants.columns:
            return ""
        return str(self.variants["after"].iloc[allele.variant])

    def _replaced(
        self, allele: Allele, ask: Ask, effects: Effects, m: int, flank: int | None
    ) -> Change:
        keep = _near(allele, ask.targets, flank)
        lost = effects.lost[:, :, m]
        return Change(
            allele, ask.targets[keep], lost[:, :, keep], effects.own[:, :, m],
            lost.astype(np.float64).sum(-1) + effects.own[:, :, m], effects,
            effects.mutant_predictions[:, m],
        )  # fmt: skip

    def _shifted(
        self, allele: Allele, ask: Ask, effects: Effects, mutant: Effects, flank: int | None
    ) -> Change:
        before, after = (e.attributions.astype(np.float64) for e in (effects, mutant))
        places = allele.places(ask.targets)
        keep = _near(allele, ask.targets, flank) & (places < before.shape[-1])
        targets, places = ask.targets[keep], places[keep]
        new = slice(allele.start, allele.start + len(allele.alt))
        own = before[..., allele.start : allele.end].sum(-1) - after[..., new].sum(-1)
        return Change(
            allele, targets, before[..., targets] - after[..., places], own,
            before.sum(-1) - after.sum(-1), effects, mutant.predictions,
        )  # fmt: skip

    def table(self, flank: int | None, progress: bool, kind: str = "observed") -> pd.DataFrame:
        """A row per variant, allele, task and target, in the order of the variants."""
        if flank is not None:
            whole_number("flank", flank, 1)
        parts: list[dict[str, Any]] = []
        for change in self.changes(flank, progress):
            parts.extend(self._rows(change))
        table = pd.DataFrame(_joined(parts))
        size = table["fis"].abs()
        own = size.groupby([table["_row"], table["task"]], sort=False)
        table["max_abs_fis"] = own.transform("max")
        table["strongest"] = table.index.isin(own.idxmax())
        table = table[[name for name in COLUMNS if name in table.columns]]
        table.attrs["provenance"] = {
            "kind": kind, "quantity": "variant fis", "source_width": "variant",
            "target_width": 1, "mutant_rule": "alleles", "flank": flank,
            **made_with(self.request.model.hash, self.request.settings,
                        self.request.plan.n_references),
            "reduction": "none",
        }  # fmt: skip
        return table

    def _rows(self, change: Change) -> Iterator[dict[str, Any]]:
        """Columns of one allele, for each task."""
        a, effects = change.allele, change.effects
        known = self.codes[a.row][change.targets] < UNKNOWN
        targets, lost = change.targets[known], change.lost[..., known]
        fis, error = effects.mean(lost), effects.standard_error(lost)
        importance = effects.mean(effects.attributions)
        own = effects.mean(change.own)
        last = max(a.end - 1, a.start)
        offset = np.where(targets < a.start, targets - a.start, targets - last)
        if not a.ref:  # an insertion stands between two bases
            offset = np.where(targets < a.start, targets - a.start, targets - a.start + 1)
        for k, task in enumerate(self.request.settings["tasks"]):
            before = float(effects.predictions[k])
            after = float(change.mutant_predictions[k])
            yield {
                "_row": a.variant, **self._named(a), "source": a.start, "target": targets,
                "target_base": np.array(list(ALPHABET), dtype=object)[self.codes[a.row][targets]],
                "offset": offset, "distance": np.abs(offset), "task": task, "fis": fis[k],
                "delta_importance": -fis[k], "standard_error": error[k],
                "target_importance": importance[k][targets], "self_effect": own[k],
                "prediction": before, "mutant_prediction": after, "effect": after - before,
            }  # fmt: skip

    def _named(self, a: Allele) -> dict[str, Any]:
        found = {"variant": a.label, "sequence": self.request.names[a.row], "ref": a.given_ref,
                 "alt": a.given_alt}  # fmt: skip
        if "id" in self.variants.columns:
            found["id"] = self.variants["id"].iloc[a.variant]
        return found

    def explain(self, features: pd.DataFrame | None, progress: bool) -> pd.DataFrame:
        """Split each allele's effect into its own bases, each motif and the rest: PARTS.

        A position in several motifs counts for the first of them.

        Raises
        ------
        SettingsError
            Where the parts would not sum to the effect: other methods than projected DeepLIFT, or
            a profile head.
        """
        s = self.request.settings
        if not is_additive(s["method"], s["contribution"], s["maxpool"]):
            raise SettingsError(
                "explain: only DeepLIFT with contribution='projected' and maxpool='shap' "
                f"splits an effect exactly, not {s['method']}, {s['contribution']}, {s['maxpool']}"
            )
        if not self.request.plan.additive:
            raise SettingsError(
                "explain: target='profile' weighs reference and alternate by a softmax of their "
                "own, so parts do not sum to the effect; use variant_interactions, or "
                "target='counts'"
            )
        motifs: dict[int, list[tuple[str, int, int]]] = {}
        if features is not None and len(features):
            f = check_features(features, self.request.names, self.codes.shape[1])
            for row, own in f.by_sequence():
                order = own[np.argsort(f.start[own], kind="stable")]
                motifs[row] = [(str(f.name[i]), int(f.start[i]), int(f.end[i])) for i in order]
        rows = [
            row
            for change in self.changes(None, progress)
            for row in self._parts(change, motifs.get(change.allele.row, []))
        ]
        table = pd.DataFrame(rows)
        return table[[name for name in PARTS if name in table.columns]]

    def _parts(self, change: Change, motifs: list[tuple[str, int, int]]) -> Iterator[dict]:
        a, effects = change.allele, change.effects
        taken = np.zeros(len(change.targets), bool)
        name = f"variant {a.ref or '-'}>{a.alt or '-'}"
        parts = [(name, "self", a.start, a.end, change.own.astype(np.float64))]
        rest = change.total - parts[0][4]
        for name, start, end in motifs:
            inside = (change.targets >= start) & (change.targets < end) & ~taken
            taken |= inside
            lost = change.lost[..., inside].astype(np.float64).sum(-1)
            parts.append((name, "motif", start, end, lost))
            rest = rest - lost
        parts.append(("rest", "rest", 0, self.codes.shape[1], rest))
        for k, task in enumerate(self.request.settings["tasks"]):
            before = float(effects.predictions[k])
            effect = float(change.mutant_predictions[k]) - before
            for name, kind, start, end, lost in parts:
                delta = -float(effects.mean(lost)[k])
                yield {
                    **self._named(a), "task": task, "part": name, "kind": kind, "start": start,
                    "end": end, "delta_importance": delta,
                    "standard_error": float(effects.standard_error(lost)[k]),
                    "share": delta / effect if effect else np.nan, "effect": effect,
                    "prediction": before,
                }  # fmt: skip


def _near(allele: Allele, targets: np.ndarray, flank: int | None) -> np.ndarray:
    """Which targets lie beside the change, not further than the flank."""
    outside = (targets < allele.start) | (targets >= allele.end)
    if flank is None:
        return outside
    return outside & (targets >= allele.start - flank) & (targets < allele.end + flank)


def _joined(parts: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Columns of all parts; single values are repeated for their rows."""
    counts = [len(part["target"]) for part in parts]
    found = {}
    for name in parts[0]:
        values = [part[name] for part in parts]
        if isinstance(values[0], np.ndarray):
            found[name] = np.concatenate(values)
        else:
            kind = object if isinstance(values[0], str) else None
            found[name] = np.repeat(np.array(values, dtype=kind), counts)
    return found
