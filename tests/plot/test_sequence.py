import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from dfim_fast.errors import InputError, SettingsError
from dfim_fast.plot import figure_for, plot_sequence


def axes_of(figure, prefix):
    return [ax for ax in figure.axes if ax.get_label().startswith(prefix)]


def titles(figure):
    return [text.get_text() for text in figure.texts]


def drawn(ax):
    """Letters of a row: position -> signed height."""
    (letters,) = ax.collections
    found = {}
    for path in letters.get_paths():
        x0, y0, x1, y1 = path.get_extents().extents
        found[round((x0 + x1) / 2)] = y1 if y1 > 1e-12 else y0
    return found


def check_layout(figure):
    """Positions align to the pixel, every text is inside the page and no two touch."""
    figure.draw_without_rendering()
    panels = axes_of(figure, "track") + axes_of(figure, "map ")
    columns = {}
    for ax in panels:
        if ax.axison:
            columns.setdefault(ax.get_label().split(".")[1], []).append(ax)
    for axes in columns.values():
        for position in np.array(axes[0].get_xlim()):
            pixels = {round(ax.transData.transform((position, 0))[0], 6) for ax in axes}
            assert len(pixels) == 1
        assert len({ax.get_xlim() for ax in axes}) == 1

    renderer = FigureCanvasAgg(figure).get_renderer()
    page = figure.bbox
    texts = []
    for ax in [*figure.axes, *itertools.chain(*(ax.child_axes for ax in figure.axes))]:
        if not ax.axison:
            continue
        ticks = [
            label
            for axis in (ax.xaxis, ax.yaxis)
            for tick in axis.get_major_ticks()
            for label in (tick.label1, tick.label2)
            if axis.get_view_interval().min() <= tick.get_loc() <= axis.get_view_interval().max()
        ]
        texts += [*ax.texts, ax.xaxis.label, ax.yaxis.label, *ticks]
    texts += figure.texts
    seen = [(t.get_text(), t.get_window_extent(renderer)) for t in texts
            if t.get_visible() and t.get_text().strip()]  # fmt: skip
    assert len(seen) > 20
    for text, box in seen:
        assert page.x0 <= box.x0 and box.x1 <= page.x1, text
        assert page.y0 <= box.y0 and box.y1 <= page.y1, text
    for (one, box), (two, other) in itertools.combinations(seen, 2):
        assert not box.overlaps(other), (one, two)


@pytest.mark.parametrize(
    ("length", "first", "second", "stretches"),
    [(100, 30, 60, 1), (200, 70, 110, 1), (1000, 480, 530, 1), (1000, 180, 730, 2)],
)
def test_the_page(toy_maps, toy_significance, length, first, second, stretches):
    maps = toy_maps(length, first, second)
    figure = figure_for(maps, 0, toy_significance(maps))
    check_layout(figure)
    assert len(axes_of(figure, "overview")) == (length > 120)
    assert len(axes_of(figure, "track")) == 4 * stretches
    assert len(axes_of(figure, "map ")) == stretches**2 + 1
    # Both motifs are seen whole.
    seen = np.concatenate([np.arange(*np.array(ax.get_xlim()) + 0.5) for ax in
                           axes_of(figure, "track 0")])  # fmt: skip
    assert set(range(first, first + 6)) | set(range(second, second + 8)) <= set(seen)
    assert seen.size <= 120


@pytest.mark.parametrize("scale", [1e-6, 2e-3, 2e4])
def test_labels_fit_at_any_scale(toy_maps, scale):
    maps = toy_maps(200, 20, 100)
    for name in ("fis", "attributions", "self_effect"):
        setattr(maps, name, getattr(maps, name) * scale)
    check_layout(figure_for(maps, 0))


@pytest.mark.parametrize("source", [0, 199])
def test_flags_fit_at_the_ends(toy_maps, source):
    check_layout(figure_for(toy_maps(200, 70, 110), 0, source=source))


def test_title_names_mutation_target_and_predictions(toy_maps):
    maps = toy_maps(200, 70, 110)
    maps.names[0] = "$a_1$ " + "x" * 100
    figure = figure_for(maps, 0)
    fis = np.where(maps.mask[0], maps.fis[0], -np.inf)
    s, g, t = np.unravel_index(np.argmax(fis), fis.shape)
    letters = maps.sequences[0]
    after = maps.mutant_predictions[0, s, g]
    assert titles(figure)[0] == "$a_1$ " + "x" * 57 + "…"
    assert not figure.texts[0].get_parse_math()
    assert titles(figure)[1].split("   ·   ") == [
        f"{'ACGT'[letters[s]]}{s}→{'ACGT'[g]}",
        f"strongest target {'ACGT'[letters[t]]}{t}",
        f"prediction {maps.predictions[0]:.3g} → {after:.3g}",
    ]
    flags = [text.get_text() for text in axes_of(figure, "track 0")[0].texts]
    assert f"source {'ACGT'[letters[s]]}{s}" in flags
    assert f"target {'ACGT'[letters[t]]}{t}" in flags


def test_tracks_come_from_the_map(toy_maps, toy_significance):
    maps = toy_maps(100, 30, 60)
    chosen = toy_significance(maps)
    figure = figure_for(maps, 1, chosen, source=32, mutant="C")
    original, mutant, lost, significant = (drawn(ax) for ax in axes_of(figure, "track"))
    for t in range(100):
        before, fis = maps.attributions[1, t], maps.fis[1, 32, 1, t]
        assert original[t] == pytest.approx(before)
        if t == 32:
            assert t not in lost
            assert mutant[t] == pytest.approx(before - maps.self_effect[1, 32, 1])
        elif maps.mask[1, 32, 1, t]:
            assert mutant[t] == pytest.approx(before - fis)
            assert lost[t] == pytest.approx(fis)
        assert (t in significant) == bool(chosen.significant[1, 32, 1, t])


def test_untested_cells_are_not_drawn(toy_maps):
    maps = toy_maps(100, 30, 60)
    maps.mask[0, 32, :, 62] = False
    maps.fis[0, 32, :, 62] = 9.0
    figure = figure_for(maps, 0, source=32)
    assert 62 not in drawn(axes_of(figure, "track")[2])
    assert "target G62" not in titles(figure)[1] and "T62" not in titles(figure)[1]
    heat = axes_of(figure, "map 0")[0].images[0].get_array()
    assert np.ma.getmaskarray(heat)[32, 62] and heat.max() < 2


def test_the_mutant_is_unknown_outside_a_window(toy_maps):
    maps = toy_maps(100, 30, 40, window=20)
    figure = figure_for(maps, 0, source=33)
    original, mutant, lost = (drawn(ax) for ax in axes_of(figure, "track"))
    assert set(original) == set(range(100))
    assert set(mutant) == set(range(13, 54))
    assert set(lost) == set(range(13, 54)) - {33}
    heat = axes_of(figure, "map 0")[0].images[0].get_array()
    dense = toy_maps(100, 30, 40)
    expected = np.where(dense.mask[0], dense.fis[0], -np.inf).max(axis=1)
    band = np.abs(np.subtract.outer(np.arange(100), np.arange(100))) <= 20
    band &= dense.mask[0].any(axis=1)
    assert np.array_equal(~np.ma.getmaskarray(heat), band)
    assert np.allclose(heat[band], expected[band])


def test_significance_of_the_maximum_over_mutants(toy_maps, toy_significance):
    maps = toy_maps(100, 30, 60)
    cells = toy_significance(maps).significant
    cells[0, :, :, :] = False
    cells[0, 62, :, 31] = maps.mask[0, 62, :, 31]
    figure = figure_for(maps, 0, cells.any(axis=2))
    assert "target A31" in titles(figure)[1]
    assert set(drawn(axes_of(figure, "track")[3])) == {31}
    per_mutant = figure_for(maps, 0, cells)
    assert titles(per_mutant) == titles(figure)


def test_one_of_several_tasks(toy_maps):
    one, two = toy_maps(100, 30, 60), toy_maps(100, 20, 70, seed=1)
    both = toy_maps(100, 30, 60)
    both.task_names = ["TAL1", "GATA1"]
    for name in ("fis", "mask", "attributions", "predictions", "self_effect", "mutant_predictions"):
        setattr(both, name, np.stack([getattr(one, name), getattr(two, name)]))
    both.sequences = two.sequences
    first, second = titles(figure_for(both, 0, task="GATA1")), titles(figure_for(two, 0))
    assert first[0] == second[0] + ", GATA1"
    assert first[1] == second[1]
    with pytest.raises(InputError, match="task: found 'ELF1', wanted one of TAL1, GATA1"):
        figure_for(both, 0, task="ELF1")


def test_few_sources_far_apart(toy_maps, toy_significance):
    maps = toy_maps(1000, 180, 730)
    keep = [20, 183, 455, 733, 990]
    maps.sources = maps.sources[keep]
    for name in ("fis", "mask", "self_effect", "mutant_predictions"):
        setattr(maps, name, getattr(maps, name)[:, keep])
    figure = figure_for(maps, 0, toy_significance(maps))
    check_layout(figure)
    panels = axes_of(figure, "map ")
    assert [ax.get_label() for ax in panels] == ["map 0.0", "map 0.1", "map frame"]
    assert panels[0].images[0].get_array().shape[0] == 5


def test_a_flat_map_names_no_target(toy_maps):
    maps = toy_maps(100, 30, 60)
    maps.fis = np.zeros_like(maps.fis)
    figure = figure_for(maps, 0)
    assert "importance of no target changes" in titles(figure)[1]
    check_layout(figure)


def test_a_view_of_ones_own(toy_maps):
    maps = toy_maps(1000, 180, 730)
    figure = figure_for(maps, "second", view=[(170, 200), (720, 760)])
    tracks = axes_of(figure, "track 0")
    assert [ax.get_xlim() for ax in tracks] == [(169.5, 199.5), (719.5, 759.5)]
    widths = [ax.get_position().width for ax in tracks]
    assert widths[1] / widths[0] == pytest.approx(40 / 30)
    for view in ([(200, 170)], [(0, 50), (40, 90)], [(900, 1001)], []):
        with pytest.raises(InputError, match=r"view: found .* stretches in order, apart"):
            figure_for(maps, 0, view=view)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sequence_index": 2}, r"sequence: found 2, wanted a name or an index 0\.\.1"),
        ({"sequence_index": "third"}, "sequence: found 'third'"),
        ({"source": 500}, "source: found 500, wanted a tested source"),
        ({"source": 31, "mutant": "A"}, "mutant: found 'A', wanted a base of A, C, G, T that"),
        ({"significance": np.ones((2, 3))}, r"significance: found shape \(2, 3\), wanted that of"),
    ],
)
def test_what_is_not_in_the_maps(toy_maps, settings, message):
    with pytest.raises(InputError, match=message):
        figure_for(toy_maps(100, 30, 60), **({"sequence_index": 0} | settings))


def test_nothing_tested(toy_maps):
    maps = toy_maps(100, 30, 60)
    maps.mask[0] = False
    with pytest.raises(InputError, match="found no tested cell, wanted at least one to draw"):
        figure_for(maps, 0)


def test_plain_arrays_suffice():
    codes = np.array([0, 1, 2, 3] * 10)
    mutant = codes.copy()
    mutant[5] = 3
    fis = np.zeros(40)
    fis[20] = -1.0
    given = (
        codes,
        np.ones(40),
        np.ones(40) - fis,
        mutant,
        fis,
        5,
        np.eye(40),
        range(40),
        range(40),
    )
    figure = plot_sequence(*given, name="plain")
    assert titles(figure)[:2] == ["plain", "C5→T   ·   strongest target A20"]
    # What the mutation does to its own base is no interaction.
    fis[5] = 9.0
    assert "strongest target A20" in titles(plot_sequence(*given))[1]
    assert "   ·   target G10" in titles(plot_sequence(*given, target=10))[1]
    with pytest.raises(InputError, match=r"target: found 40, wanted 0\.\.39"):
        plot_sequence(*given, target=40)
    with pytest.raises(SettingsError, match="max_letters: found 5, wanted at least 20"):
        plot_sequence(*given, max_letters=5)
