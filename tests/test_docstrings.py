"""Examples of docstrings run as they stand, and what users call has one."""

import doctest
import inspect

import pytest

import dfim_fast
import dfim_fast.plot

PUBLIC = [
    *(getattr(dfim_fast, name) for name in dfim_fast.__all__),
    *(getattr(dfim_fast.plot, name) for name in dfim_fast.plot.__all__),
]
FUNCTIONS = [thing for thing in PUBLIC if inspect.isfunction(thing)]
CLASSES = [thing for thing in PUBLIC if inspect.isclass(thing)]
# The five of the paper's figures; the others draw what commands made, and are seen in their pages.
FIGURES = ("plot_interaction_map", "plot_tracks", "plot_aggregate", "plot_distance", "plot_null")
FINDER = doctest.DocTestFinder(recurse=True)
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@pytest.mark.parametrize("thing", [*FUNCTIONS, *CLASSES], ids=lambda thing: thing.__name__)
def test_examples_give_what_they_say(thing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for example in FINDER.find(thing, globs={**vars(inspect.getmodule(thing))}):
        said: list[str] = []
        found = doctest.DocTestRunner(optionflags=OPTIONS).run(example, out=said.append)
        assert not found.failed, "".join(said)


def test_every_public_function_has_an_example():
    without = [
        function.__name__
        for function in FUNCTIONS
        if ">>>" not in (function.__doc__ or "")
        and (function.__name__ in FIGURES or not function.__module__.startswith("dfim_fast.plot"))
    ]
    assert without == []


def test_a_wrong_example_is_found():
    def wrong():
        """Return one.

        >>> 1 + 1
        3
        """

    (example,) = FINDER.find(wrong, "wrong")
    assert doctest.DocTestRunner().run(example, out=lambda _: None).failed == 1
