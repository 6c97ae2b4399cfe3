"""aggregate against two plain loops over whole maps; streaming, windows, anchors."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from graph.all_models import model as model_of

import dfim_fast
from dfim_fast.errors import InputError, SettingsError
from dfim_fast.maps import aggregate as module
from dfim_fast.sequence.one_hot import encode

NAME = "input_nlc_legacy.onnx"
LENGTH = model_of(NAME).sequence_length
RNG = np.random.default_rng(2)
SEQUENCES = ["".join(RNG.choice(list("ACGT"), LENGTH, p=[0.1, 0.4, 0.4, 0.1])) for _ in range(9)]
SEQUENCES[4] = "N" + SEQUENCES[4][1:]
SETTINGS = {"method": "deeplift", "references": "gc", "progress": False}


def plain(maps, sources, targets, codes, absolute):
    """The definition, cell by cell."""
    total = np.zeros((4, len(sources), 4, 4, len(targets)))
    count = np.zeros((4, len(sources), 4, len(targets)), int)
    for n in range(len(codes)):
        for i, s in enumerate(sources):
            for j, t in enumerate(targets):
                a, b = codes[n, s], codes[n, t]
                if s == t or a == 4 or b == 4:
                    continue
                count[a, i, b, j] += 1
                for g in range(4):
                    value = float(maps.fis[n, i, g, j])
                    total[a, i, g, b, j] += abs(value) if absolute else value
    mean = np.full_like(total, np.nan)
    for a, i, g, b, j in np.ndindex(mean.shape):
        if count[a, i, b, j] and a != g and maps.reach[0, i, j]:
            mean[a, i, g, b, j] = total[a, i, g, b, j] / count[a, i, b, j]
    return mean, count


@pytest.mark.parametrize("name", [NAME, "gelu_tanh_legacy.onnx"])  # by walks and by windows
@pytest.mark.parametrize("absolute", [True, False])
def test_means_equal_two_plain_loops(absolute, name, monkeypatch):
    model = model_of(name)
    x = [s[: model.sequence_length].ljust(model.sequence_length, "A") for s in SEQUENCES]
    monkeypatch.setattr(module, "BLOCK", 4)  # several blocks, the last one short
    sources, targets = [0, 3, 7, 30], [3, 0, 9]
    given = {**SETTINGS, "sources": sources, "targets": targets}
    found = dfim_fast.aggregate(model, x, absolute=absolute, **given)
    maps = dfim_fast.interaction_map(model, x, **given)
    mean, count = plain(maps, sources, targets, encode(x), absolute)
    np.testing.assert_array_equal(found.count, count)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-4, atol=1e-7)
    assert np.isnan(found.mean[:, 0, :, :, 1]).all()  # the diagonal
    assert np.isnan(mean).any() and (np.nan_to_num(mean) != 0).sum() > 50
    assert found.n == 9
    signed = dfim_fast.aggregate(model, x, absolute=False, **given)
    spread = np.sqrt(np.maximum(found._mean(found.sum_of_squares) - mean**2, 0))
    np.testing.assert_allclose(found.standard_deviation, spread, atol=1e-9)
    np.testing.assert_array_equal(signed.sum_absolute, found.sum_absolute)


def test_the_marginal_map_is_the_maximum_over_mutants():
    found = dfim_fast.aggregate(model_of(NAME), SEQUENCES, sources=[2, 5], targets=[8], **SETTINGS)
    table = found.marginal(minimum=2)
    assert table.shape == (8, 4)
    assert table.index.names == ["source", "base"] and table.columns[3] == (8, "T")
    for (s, base), row in table.iterrows():
        i, a = [2, 5].index(s), "ACGT".index(base)
        for (_, target_base), value in row.items():
            b = "ACGT".index(target_base)
            cell = found.mean[a, i, :, b, 0]
            if found.count[a, i, b, 0] < 2:
                assert np.isnan(value)
            else:
                assert value == np.nanmax(cell)
    assert table.isna().any().any() and table.notna().any().any()
    one = found.marginal(alpha="C")
    assert one.loc[(2, "G"), (8, "G")] == found.mean[1, 0, 2, 2, 0]
    assert one.loc[(2, "C")].isna().all()


def test_windows_tasks_and_iterators():
    network = model_of("two_outputs_legacy.onnx")
    length = network.sequence_length
    x = ["".join(RNG.choice(list("ACGT"), length)) for _ in range(5)]
    given = {"method": "gradient", "progress": False, "window": 3, "task": [0, 1]}
    found = dfim_fast.aggregate(network, x, **given)
    maps = dfim_fast.interaction_map(network, x, **given)
    codes = encode(x)
    for n, s, offset in ((0, 10, 1), (3, length - 1, -3), (4, 0, 2)):
        t, j = s + offset, offset + 3
        a, b = codes[n, s], codes[n, t]
        same = [m for m in range(5) if codes[m, s] == a and codes[m, t] == b]
        assert found.count[a, s, b, j] == len(same)
        for k in (0, 1):
            for g in set(range(4)) - {a}:
                wanted = np.abs(maps.fis[k, same, s, g, j].astype(float)).mean()
                value = found.mean[k, a, s, g, b, j]
                assert value == pytest.approx(wanted) or (np.isnan(value) and wanted == 0)
    assert found.count[:, 0, :, 2].sum() == 0  # off the end
    read = dfim_fast.aggregate(network, iter(x), **given)
    np.testing.assert_array_equal(read.sum, found.sum)
    np.testing.assert_array_equal(
        dfim_fast.aggregate(network, dfim_fast.one_hot(x), **given).sum, found.sum
    )
    assert found.marginal(task=1).shape == (4 * length, 28)


def test_own_references_go_with_their_sequences(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 2)
    own = dfim_fast.dinucleotide_shuffle(SEQUENCES, n=2, random_state=5)
    given = {"sources": [3], "targets": [5], "progress": False}
    np.testing.assert_array_equal(
        dfim_fast.aggregate(model_of(NAME), SEQUENCES, references=own, **given).sum,
        sum(
            dfim_fast.aggregate(
                model_of(NAME), SEQUENCES[n : n + 1], references=own[n], **given
            ).sum
            for n in range(len(SEQUENCES))
        ),
    )


def test_memory_does_not_grow_with_the_number_of_sequences(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 16)

    def peak(n):
        stream = (SEQUENCES[i % 9] for i in range(n))
        tracemalloc.start()
        dfim_fast.aggregate(model_of(NAME), stream, sources=[3], targets=[5], **SETTINGS)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(32)  # what is made once
    grown = peak(800) - peak(48)
    assert grown / 752 < 4 * LENGTH  # a quarter of one sequence's one-hot float32, for each more


@pytest.mark.parametrize("strand", ["+", "-", "."])
def test_anchors_align_features_on_their_strand(strand):
    anchors = pd.DataFrame({"sequence": [0, 1, 1, 4], "start": [10, 2, 30, 0],
                            "end": [15, 6, 35, 3], "name": "m", "strand": strand})  # fmt: skip
    w = 4
    found = dfim_fast.aggregate(model_of(NAME), SEQUENCES, anchors=anchors, window=w, **SETTINGS)
    maps = dfim_fast.interaction_map(model_of(NAME), SEQUENCES, **SETTINGS)
    codes, complement = encode(SEQUENCES), np.array([3, 2, 1, 0, 4])
    total = np.zeros_like(found.sum)
    count = np.zeros_like(found.count)
    for n, start, end in zip(*(anchors[c] for c in ("sequence", "start", "end")), strict=True):
        middle = (
            start + (end - start - 1) // 2 if strand != "-" else end - 1 - (end - start - 1) // 2
        )
        for i in range(-w, w + 1):
            for j in range(-w, w + 1):
                s, t = (middle + o * (-1 if strand == "-" else 1) for o in (i, j))
                if i == j or min(s, t) < 0 or max(s, t) >= LENGTH or 4 in codes[n, [s, t]]:
                    continue
                read = complement if strand == "-" else np.arange(5)
                a, b = read[codes[n, s]], read[codes[n, t]]
                count[a, i + w, b, j + w] += 1
                for g in range(4):
                    total[a, i + w, read[g], b, j + w] += maps.fis[n, s, g, t]
    np.testing.assert_array_equal(found.count, count)
    np.testing.assert_allclose(found.sum, total, atol=1e-5 * np.abs(maps.attributions).max())
    assert np.abs(total).max() > 0 and found.n == 4
    assert found.sources.tolist() == list(range(-w, w + 1))


def test_what_is_wrong_is_said():
    anchors = pd.DataFrame({"sequence": [0], "start": [1], "end": [3], "name": "m"})
    for given, text in (
        ({"anchors": anchors}, "say with window= how far"),
        ({"anchors": anchors, "window": 3, "sources": [1]}, "leave sources and"),
        ({"window": -1}, "window=-1"),
    ):
        with pytest.raises(SettingsError, match=text):
            dfim_fast.aggregate(model_of(NAME), SEQUENCES, **{**SETTINGS, **given})
    with pytest.raises(InputError, match="no sequences"):
        dfim_fast.aggregate(model_of(NAME), iter([]), **SETTINGS)
    with pytest.raises(InputError, match="X is of type int"):
        dfim_fast.aggregate(model_of(NAME), 3, **SETTINGS)
    bad = [*SEQUENCES, "ACGT"]
    with pytest.raises(InputError, match="sequence 9 has length 4, wanted"):
        dfim_fast.aggregate(model_of(NAME), bad, **SETTINGS)


def test_too_large_a_map_names_its_bytes(monkeypatch):
    monkeypatch.setattr("dfim_fast.maps.position_sums.physical_memory", lambda: 1_000_000)
    with pytest.raises(SettingsError, match=r"would take 0\.\d GB, but memory.*use window="):
        dfim_fast.aggregate(model_of(NAME), SEQUENCES, **SETTINGS)


def test_known_cells_of_cbf1(shared_data):
    """From ../shared/data/README.md: the tightest of all flanks, by prediction."""
    network = dfim_fast.load_model(shared_data / "cbf1" / "model.onnx")
    codes = np.array(np.meshgrid(*[range(4)] * 10, indexing="ij")).reshape(10, -1).T[::35]
    from dfim_fast.sequence.one_hot import from_codes

    x = from_codes(codes.astype(np.int8))
    tight = x[np.argsort(network.predict(x)[:, 0], kind="stable")[: 5000 // 35]]
    found = dfim_fast.aggregate(network, tight, method="gradient", progress=False)
    table = found.marginal(minimum=3)
    # position -5 is index 0; one in 35 of the sequences, so within a seventh of the known values
    for s, a, t, b, wanted in ((3, "G", 4, "T", 0.127), (6, "C", 5, "A", 0.126),
                               (6, "T", 5, "A", 0.109)):  # fmt: skip
        assert table.loc[(s, a), (t, b)] == pytest.approx(wanted, rel=0.15)
