"""Deep Feature Interaction Maps of DNA sequence models, exact and with their significance.

The public names are imported when they are first used, so that `import dfim_fast` stays fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dfim_fast.errors import (
        BackendError,
        DfimError,
        InputError,
        ModelError,
        NullError,
        OutputError,
        SettingsError,
    )
    from dfim_fast.maps.aggregate import aggregate
    from dfim_fast.maps.attribution import attribute
    from dfim_fast.maps.controls import matched_controls
    from dfim_fast.maps.convert import from_keras, from_torch
    from dfim_fast.maps.deep_lift_shap import deep_lift_shap
    from dfim_fast.maps.interaction import InteractionMap, interaction_map
    from dfim_fast.maps.model import Model, load_model
    from dfim_fast.maps.motif import motif_interactions
    from dfim_fast.maps.pairwise import pairwise_ism
    from dfim_fast.maps.position_sums import Aggregate
    from dfim_fast.scale.score import score
    from dfim_fast.scale.slurm import Slurm
    from dfim_fast.scale.variants import explain_variants, variant_interactions
    from dfim_fast.sequence.one_hot import one_hot
    from dfim_fast.sequence.shuffle import dinucleotide_shuffle
    from dfim_fast.stats.distance import distance_bins
    from dfim_fast.stats.groups import compare_groups
    from dfim_fast.stats.null import null_map
    from dfim_fast.stats.significance import significance

    __version__: str

# Public name -> the module that defines it.
_HOME = {
    "BackendError": "errors",
    "DfimError": "errors",
    "InputError": "errors",
    "ModelError": "errors",
    "NullError": "errors",
    "OutputError": "errors",
    "SettingsError": "errors",
    "Aggregate": "maps.position_sums",
    "Slurm": "scale.slurm",
    "aggregate": "maps.aggregate",
    "attribute": "maps.attribution",
    "compare_groups": "stats.groups",
    "deep_lift_shap": "maps.deep_lift_shap",
    "dinucleotide_shuffle": "sequence.shuffle",
    "distance_bins": "stats.distance",
    "explain_variants": "scale.variants",
    "from_keras": "maps.convert",
    "from_torch": "maps.convert",
    "interaction_map": "maps.interaction",
    "load_model": "maps.model",
    "matched_controls": "maps.controls",
    "InteractionMap": "maps.interaction",
    "Model": "maps.model",
    "motif_interactions": "maps.motif",
    "null_map": "stats.null",
    "one_hot": "sequence.one_hot",
    "pairwise_ism": "maps.pairwise",
    "score": "scale.score",
    "significance": "stats.significance",
    "variant_interactions": "scale.variants",
}

__all__ = [
    "Aggregate",
    "BackendError",
    "DfimError",
    "InputError",
    "InteractionMap",
    "Model",
    "ModelError",
    "NullError",
    "OutputError",
    "SettingsError",
    "Slurm",
    "__version__",
    "aggregate",
    "attribute",
    "compare_groups",
    "deep_lift_shap",
    "dinucleotide_shuffle",
    "distance_bins",
    "explain_variants",
    "from_keras",
    "from_torch",
    "interaction_map",
    "load_model",
    "matched_controls",
    "motif_interactions",
    "null_map",
    "one_hot",
    "pairwise_ism",
    "score",
    "significance",
    "variant_interactions",
]


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("dfim_fast")
    except PackageNotFoundError:  # run from a source folder that was never installed
        return "0+not.installed"


def __getattr__(name: str) -> Any:
    value: Any
    if name == "__version__":
        value = _version()
    elif name in _HOME:
        value = getattr(importlib.import_module(f"dfim_fast.{_HOME[name]}"), name)
    elif name == "compat":
        value = importlib.import_module("dfim_fast.compat")
    else:
        raise AttributeError(f"module 'dfim_fast' has no attribute {name!r}")
    globals()[name] = value  # the next use skips this function
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
