"""Figures: functions that take axes and return axes, or a whole page for one sequence."""

from dfim_fast.plot.aggregate import plot_aggregate
from dfim_fast.plot.bins import plot_distance_bins
from dfim_fast.plot.from_maps import figure_for
from dfim_fast.plot.interaction import plot_interaction_map
from dfim_fast.plot.letters import plot_letters
from dfim_fast.plot.motif_pairs import plot_motif_pairs
from dfim_fast.plot.null import plot_distance, plot_null
from dfim_fast.plot.sequence import plot_sequence
from dfim_fast.plot.style import save
from dfim_fast.plot.tracks import plot_tracks
from dfim_fast.plot.waterfall import plot_waterfall

__all__ = [
    "figure_for",
    "plot_aggregate",
    "plot_distance",
    "plot_distance_bins",
    "plot_interaction_map",
    "plot_letters",
    "plot_motif_pairs",
    "plot_null",
    "plot_sequence",
    "plot_tracks",
    "plot_waterfall",
    "save",
]
