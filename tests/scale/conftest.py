"""A model and a genome for runs of `score`."""

import pytest
from scale.score_helpers import MODEL, make_genome

import dfim_fast


@pytest.fixture(scope="module")
def model():
    return dfim_fast.load_model(MODEL)


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return make_genome(tmp_path_factory.mktemp("genome"))
