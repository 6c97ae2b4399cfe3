"""The handmade models: the valid ones run, the faulty ones are faulty where their text says."""

import numpy as np
import onnx
import pytest
from models import checks
from models.faulty import BROKEN
from models.handmade import ALL, BAD, LAYOUTS, LENGTHS
from oracles import onnx_truth


def test_tables_have_the_same_names():
    assert set(ALL) == set(LAYOUTS) == set(LENGTHS)
    assert not set(ALL) & set(BAD)
    assert set(BAD) >= BROKEN


@pytest.mark.parametrize("name", ALL)
def test_valid_model_runs_and_the_evaluators_agree(name):
    model = ALL[name]()
    onnx.checker.check_model(model, full_check=True)
    checks.assert_runs(model, LAYOUTS[name], LENGTHS[name])


@pytest.mark.parametrize("name", ALL)
def test_builders_are_deterministic(name):
    assert ALL[name]().SerializeToString() == ALL[name]().SerializeToString()


@pytest.mark.parametrize("name", sorted(set(BAD) - BROKEN))
def test_faulty_model_is_a_well_formed_file(name):
    onnx.checker.check_model(BAD[name](), full_check=True)


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_broken_model_is_refused_by_onnx(name):
    with pytest.raises(onnx.checker.ValidationError):
        onnx.checker.check_model(BAD[name]())


def test_sequences_of_a_batch_do_meet_in_batch_mixing():
    x = checks.sequences(4, 40)
    together = onnx_truth.run(BAD["batch_mixing"](), x)[0]
    alone = onnx_truth.run(BAD["batch_mixing"](), x[:1])[0]
    assert not np.allclose(together[:1], alone)
