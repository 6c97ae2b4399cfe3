"""What the texts of options mean."""

from types import SimpleNamespace

import pytest

from dfim_fast.cli import options as o
from dfim_fast.errors import SettingsError


@pytest.mark.parametrize(
    ("text", "found"),
    [(None, None), ("3", [3]), ("3-5", [3, 4]), ("0-2,7, 9 - 11", [0, 1, 7, 9, 10])],
)
def test_positions(text, found):
    assert o.positions(text, "--sources") == found


@pytest.mark.parametrize("text", ["", "a", "5-5", "5-3", "-3", "1-", "1,,2", "1-2-3", "1.5", "٣"])
def test_other_positions_are_refused(text):
    with pytest.raises(SettingsError) as caught:
        o.positions(text, "--targets")
    assert str(caught.value).startswith(f"--targets {text}: ")
    assert str(caught.value).endswith(
        "is no range of positions; write start-end, from 0 and without the end, such as 80-120,150"
    )


def test_positions_further_than_any_model_reads_are_refused_before_they_are_listed():
    with pytest.raises(SettingsError) as caught:
        o.positions("3,0-99999999999", "--sources")
    assert str(caught.value) == (
        "--sources 3,0-99999999999: '0-99999999999' goes past 100,000,000, further than any model "
        "reads; write positions of the model's sequence, from 0"
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, None),
        ("1000", 1000),
        ("2GB", 2 * 10**9),
        ("500mb", 5 * 10**8),
        ("1.5 G", 15 * 10**8),
        ("1GiB", 2**30),
        ("3 KiB", 3072),
    ],
)
def test_size(text, found):
    assert o.size(text, "--memory-limit") == found


@pytest.mark.parametrize(
    "text", ["", "GB", "2XB", "-1GB", "0", "0GB", "1e9", "2 GB more", "9" * 400]
)
def test_other_sizes_are_refused(text):
    with pytest.raises(SettingsError) as caught:
        o.size(text, "--memory-limit")
    assert str(caught.value) == (
        f"--memory-limit {text}: is no size; write a number and a unit, such as 2GB, 500MB or 1GiB"
    )


def test_tasks_are_names_first_and_then_numbers():
    model = SimpleNamespace(task_names=["a", "7"])
    assert o.task(None, model) == 0
    assert o.task(["a"], model) == "a"
    assert o.task(["7"], model) == "7"
    assert o.task(["1"], model) == 1
    assert o.task(["\u00b2"], model) == "\u00b2"  # a digit to Python, but no number
    assert o.task(["a", "0"], model) == ["a", 0]
