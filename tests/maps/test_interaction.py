"""interaction_map as users meet it: shapes, masks, maxima, stores, and what results say of it."""

import copy

import numpy as np
import pytest
from graph.all_models import entry, model, one_hot

import dfim_fast
from dfim_fast.graph.cone import reach
from dfim_fast.sequence.references import make_references

NAME = "dilated_residual_legacy.onnx"  # 64 positions, some of which a crop cuts off
TASKS = "two_outputs_legacy.onnx"  # 44 positions, four tasks
SEQUENCES = ["ACGTTGCAAC" * 6 + "GGTA", "TTGACNNCAT" * 6 + "ANGC"]


def maps_of(name=NAME, x=None, **settings):
    """Two sequences against three shuffles, quietly."""
    x = SEQUENCES if x is None else x
    return dfim_fast.interaction_map(
        model(name), x, **{"n_references": 3, "progress": False, **settings}
    )


@pytest.fixture(scope="module")
def full():
    """The map of all sources and targets."""
    return maps_of()


def test_shapes_and_types(full):
    shapes = {
        "fis": (2, 64, 4, 64),
        "mask": (2, 64, 4, 64),
        "standard_error": (2, 64, 4, 64),
        "self_effect": (2, 64, 4),
        "mutant_predictions": (2, 64, 4),
        "attributions": (2, 64),
        "predictions": (2,),
        "reference_predictions": (2,),
    }
    for name, shape in shapes.items():
        assert getattr(full, name).shape == shape, name
        assert getattr(full, name).dtype == (bool if name == "mask" else np.float32), name
    assert full.max_fis().shape == full.max_mask.shape == (2, 64, 64)
    np.testing.assert_array_equal(full.sources, np.arange(64))
    np.testing.assert_array_equal(full.targets, np.arange(64))
    assert full.window is None
    assert full.names == ["0", "1"]
    assert full.task_names == ["output"]
    assert full.sequences.dtype == np.int8
    assert full.sequences[1, :8].tolist() == [3, 3, 2, 0, 1, 4, 4, 1]
    assert full.summation_to_delta < 1e-4
    assert full.model_hash == model(NAME).hash
    assert full.plan.explain().startswith("deeplift, tasks output, 3 references, max-pool rule sh")


def test_predictions_are_the_models(full):
    np.testing.assert_allclose(full.predictions, model(NAME).predict(SEQUENCES)[:, 0], atol=1e-5)
    mutant = "C" + SEQUENCES[0][1:]
    np.testing.assert_allclose(
        full.mutant_predictions[0, 0, 1], model(NAME).predict([mutant])[0, 0], atol=1e-5
    )
    effect = full.predictions[:, None, None] - full.mutant_predictions
    split = full.self_effect + full.fis.sum(axis=-1)
    np.testing.assert_allclose(split, effect, atol=2e-5 * np.abs(full.predictions).max())


def test_window_keeps_offsets():
    banded = maps_of(sources=[0, 5, 63], window=2)
    assert banded.fis.shape == banded.mask.shape == (2, 3, 4, 5)
    assert banded.window == 2
    np.testing.assert_array_equal(
        banded.targets, [[-1, -1, 0, 1, 2], [3, 4, 5, 6, 7], [61, 62, 63, -1, -1]]
    )
    assert banded.max_fis().shape == (2, 3, 5)
    assert not banded.mask[:, 0, :, :3].any() and not banded.mask[:, 2, :, 2:].any()


def test_window_and_targets_together():
    banded = maps_of(sources=[5, 20], targets=[4, 6, 7], window=2)
    np.testing.assert_array_equal(banded.targets, [[-1, 4, -1, 6, 7], [-1] * 5])
    assert not banded.fis[:, 1].any()


def test_tasks_lead_only_if_a_list_was_given():
    x = one_hot(2, 44)
    one = maps_of(TASKS, x, task="output_1", sources=[1, 9])
    listed = maps_of(TASKS, x, task=["output_1"], sources=[1, 9])
    several = maps_of(TASKS, x, task=[0, "output_1", 2], sources=[1, 9])
    assert one.fis.shape == (2, 2, 4, 44)
    assert listed.fis.shape == (1, 2, 2, 4, 44)
    for name, shape in {
        "fis": (3, 2, 2, 4, 44),
        "mask": (3, 2, 2, 4, 44),
        "standard_error": (3, 2, 2, 4, 44),
        "self_effect": (3, 2, 2, 4),
        "mutant_predictions": (3, 2, 2, 4),
        "attributions": (3, 2, 44),
        "predictions": (3, 2),
    }.items():
        assert getattr(several, name).shape == shape, name
        size = np.abs(np.asarray(getattr(one, name), np.float64)).max()
        np.testing.assert_allclose(
            getattr(several, name)[1], getattr(one, name), rtol=0, atol=1e-5 * size
        )
        np.testing.assert_array_equal(getattr(listed, name)[0], getattr(one, name))
    assert several.max_fis().shape == (3, 2, 2, 44)
    assert several.task_names == ["output_0[0]", "output_1", "output_0[2]"]
    # the second output reads the trunk's middle: its cells reach less far
    assert several.reach.shape == (3, 2, 44)
    assert several.reach[1].sum() < several.reach[0].sum()


def test_mask_by_hand(full):
    """Not the observed base, not the source itself, no N, and only what the network connects."""
    graph = model(NAME).graph
    everywhere = np.broadcast_to(np.arange(64), (64, 64))
    reachable = reach(graph, graph.tasks[0], np.arange(64), everywhere)
    assert not reachable.all()
    for n, sequence in enumerate(SEQUENCES):
        for s in range(0, 64, 3):
            for base in range(4):
                for t in range(64):
                    wanted = (
                        sequence[s] != "N"
                        and "ACGT"[base] != sequence[s]
                        and sequence[t] != "N"
                        and s != t
                        and reachable[s, t]
                    )
                    assert full.mask[n, s, base, t] == wanted
    assert not full.fis[~full.mask].any()
    assert not full.standard_error[~full.mask].any()
    assert (full.fis[full.mask] != 0).mean() > 0.5
    np.testing.assert_array_equal(full.sequence_mask(1), full.mask[1])


def test_max_fis_by_hand(full):
    signed, absolute = full.max_fis(), full.max_fis(absolute=True)
    for n, sequence in enumerate(SEQUENCES):
        for s in range(64):
            mutants = [b for b in range(4) if "ACGT"[b] != sequence[s] != "N"]
            for t in range(0, 64, 5):
                values = full.fis[n, s, mutants, t]
                tested = len(mutants) and full.mask[n, s, :, t].any()
                assert signed[n, s, t] == (values.max() if tested else 0)
                assert absolute[n, s, t] == (np.abs(values).max() if tested else 0)
    # the empty slot's zero is no candidate
    assert (signed[full.max_mask] < 0).any()
    np.testing.assert_array_equal(full.max_mask, full.mask.any(axis=2))


def test_one_hot_and_strings_are_the_same(full):
    again = maps_of(x=dfim_fast.one_hot(SEQUENCES))
    np.testing.assert_array_equal(again.fis, full.fis)
    single = maps_of(x=SEQUENCES[0])
    np.testing.assert_array_equal(single.fis[0], full.fis[0])


def test_a_sequences_map_does_not_depend_on_its_neighbours(full):
    turned = maps_of(x=SEQUENCES[::-1], names=["b", "a"])
    assert turned.names == ["b", "a"]
    np.testing.assert_array_equal(turned.fis[::-1], full.fis)
    np.testing.assert_array_equal(turned.standard_error[::-1], full.standard_error)


def test_random_state_draws_other_references(full):
    other = maps_of(random_state=1)
    assert np.abs(other.fis - full.fis).max() > 1e-3
    np.testing.assert_array_equal(other.predictions, full.predictions)


def test_the_callers_references_shared_or_for_each(full):
    x = dfim_fast.one_hot(SEQUENCES)
    own = make_references(x, "dinucleotide", 3)
    assert own.shape == (2, 3, 4, 64)
    np.testing.assert_array_equal(maps_of(references=own).fis, full.fis)
    shared = maps_of(references=own[0])
    np.testing.assert_array_equal(shared.fis[0], full.fis[0])
    assert np.abs(shared.fis[1] - full.fis[1]).max() > 1e-3
    assert shared.plan.n_references == 3
    repeated = maps_of(references=np.stack([own[0], own[0]]).tolist())
    np.testing.assert_array_equal(repeated.fis, shared.fis)


@pytest.mark.parametrize(
    ("references", "settings", "columns"),
    [("zeros", {}, [0, 0, 0, 0]), ("gc", {"gc": 0.4}, [0.3, 0.2, 0.2, 0.3])],
)
def test_constant_references(references, settings, columns):
    found = maps_of(references=references, n_references=7, sources=[3, 30], **settings)
    array = np.broadcast_to(np.array(columns)[:, None], (1, 4, 64))
    by_hand = maps_of(references=array, sources=[3, 30])
    np.testing.assert_array_equal(found.fis, by_hand.fis)
    assert found.plan.n_references == 1
    assert found.standard_error is None


@pytest.mark.parametrize("method", ["gradient", "gradient_corrected"])
def test_gradients_have_no_references(method):
    found = maps_of(method=method, sources=[3, 30])
    assert found.standard_error is None
    assert found.reference_predictions is None
    assert found.summation_to_delta is None
    assert found.plan.n_references == 0
    assert {found.provenance[k] for k in ("references", "maxpool", "epsilon")} == {None}


@pytest.mark.parametrize("task", [0, [0, 3]])
def test_a_store_on_disk_equals_memory(tmp_path, task):
    import zarr

    x = one_hot(3, 44)
    memory = maps_of(TASKS, x, task=task, sources=[1, 9])
    stored = maps_of(TASKS, x, task=task, sources=[1, 9], out=tmp_path / "maps.zarr")
    group = zarr.open_group(str(tmp_path / "maps.zarr"), mode="r")
    for name in (
        "fis",
        "standard_error",
        "self_effect",
        "mutant_predictions",
        "attributions",
        "predictions",
        "reference_predictions",
    ):
        wanted = getattr(memory, name)
        assert getattr(stored, name).shape == wanted.shape
        np.testing.assert_array_equal(np.asarray(getattr(stored, name)[...]), wanted)
        np.testing.assert_array_equal(np.asarray(group[name][...]), wanted)
    np.testing.assert_array_equal(stored.mask, memory.mask)
    np.testing.assert_array_equal(stored.max_fis(), memory.max_fis())
    assert stored.provenance == memory.provenance


def test_provenance(full):
    found = dict(full.provenance)
    digest = found.pop("sources_targets")
    assert found == {
        "kind": "observed",
        "quantity": "fis",
        "source_width": 1,
        "target_width": 1,
        "mutant_rule": "snv",
        "method": "deeplift",
        "references": ("dinucleotide", 3),
        "gc": None,
        "contribution": "projected",
        "maxpool": "shap",
        "epsilon": 1e-6,
        "task": ["output"],
        "reduction": "none",
        "model_hash": model(NAME).hash,
        "target": "logit",
        "window": None,
    }
    assert len(digest) == 16


@pytest.mark.parametrize(
    ("settings", "keys"),
    [
        ({"random_state": 5}, set()),
        ({"threads": 1, "names": ["a", "b"]}, set()),
        ({"sources": [1, 2]}, {"sources_targets"}),
        ({"targets": [1, 2]}, {"sources_targets"}),
        ({"window": 4}, {"sources_targets", "window"}),
        ({"contribution": "observed"}, {"contribution"}),
        ({"maxpool": "deeplift"}, {"maxpool"}),
        ({"epsilon": 1e-5}, {"epsilon"}),
        ({"n_references": 4}, {"references"}),
        ({"references": "gc"}, {"references", "gc"}),
        ({"method": "gradient"}, {"method", "references", "contribution", "maxpool", "epsilon"}),
    ],
)
def test_provenance_tells_what_changes_the_numbers(full, settings, keys):
    found, before = maps_of(x=SEQUENCES[:1] * 2, **settings).provenance, full.provenance
    assert {k for k in before if found[k] != before[k]} == keys


def test_provenance_of_references_is_by_content(full):
    array = one_hot(2, 64)
    first, second = (maps_of(references=a, sources=[3]) for a in (array, array.copy()))
    other = maps_of(references=one_hot(2, 64, seed=1), sources=[3])
    assert first.provenance == second.provenance != other.provenance


def test_settings_are_kept(full):
    assert full.settings == {
        "method": "deeplift",
        "references": "dinucleotide",
        "n_references": 3,
        "gc": 0.46,
        "random_state": 0,
        "tasks": ["output"],
        "contribution": "projected",
        "maxpool": "shap",
        "epsilon": 1e-6,
        "window": None,
        "backend": "auto",
        "target": "logit",
    }


def test_texts(full):
    assert repr(full) == (
        "InteractionMap(2 sequences, 64 sources, 64 targets, deeplift, tasks output)"
    )
    banded = maps_of(x=SEQUENCES[:1], sources=[3, 4], window=5, method="gradient")
    assert repr(banded) == "InteractionMap(1 sequence, 2 sources, window 5, gradient, tasks output)"


def test_inputs_are_left_as_they_were():
    x = dfim_fast.one_hot(SEQUENCES)
    before, array = x.copy(), one_hot(2, 64)
    kept = copy.deepcopy(array)
    maps_of(x=x, references=array, sources=[3])
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(array, kept)


def test_progress_is_shown_only_when_asked_for(capsys):
    maps_of(sources=[3])
    assert capsys.readouterr() == ("", "")
    maps_of(sources=[3], progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "2/2" in shown.err and "seq/s" in shown.err


def test_target_output_warns_and_scores_the_output():
    here = entry("sigmoid_output")
    loaded = here.load(target="output")
    x = one_hot(1, here.length)
    with pytest.warns(UserWarning) as caught:
        found = dfim_fast.interaction_map(loaded, x, sources=[3], n_references=2, progress=False)
    assert [str(w.message) for w in caught] == [
        "target='output' scores the squashed output, which makes interactions of its own; "
        "target='logit' avoids them"
    ]
    assert caught[0].filename == __file__
    assert 0 < found.predictions[0] < 1
    assert found.provenance["target"] == "output"


def test_every_backend_by_name():
    wanted = maps_of(sources=[3, 30], backend="reference")
    assert wanted.fis.dtype == np.float64
    for name in ("numba", "auto"):
        found = maps_of(sources=[3, 30], backend=name)
        assert found.fis.dtype == np.float32
        scale = np.abs(wanted.attributions).max()
        np.testing.assert_allclose(found.fis, wanted.fis, rtol=0, atol=1e-5 * scale)
        assert found.provenance == wanted.provenance
