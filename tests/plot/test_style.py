import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from dfim_fast.errors import OutputError, SettingsError
from dfim_fast.plot import plot_letters, save
from dfim_fast.plot.style import BASE_COLORS, DIVERGING, value_limits

# Machado, Oliveira and Fernandes (2009), severity 1, for linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lab(color, vision):
    """CIELAB of a colour as someone with that vision sees it."""
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(VISION[vision]) @ linear, 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(to_xyz) @ seen / [0.9505, 1.0, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", VISION)
def test_base_colours_differ_for_every_vision(vision):
    for one, two in itertools.combinations("ACGT", 2):
        distance = np.linalg.norm(lab(BASE_COLORS[one], vision) - lab(BASE_COLORS[two], vision))
        assert distance >= 24, (one, two)


@pytest.mark.parametrize("vision", VISION)
def test_signed_colours_are_white_at_zero_and_differ_at_the_ends(vision):
    assert np.allclose(DIVERGING(0.5)[:3], 1.0, atol=0.01)
    low, high = lab(DIVERGING(0.0), vision), lab(DIVERGING(1.0), vision)
    assert np.linalg.norm(low - high) > 55
    for side in (np.linspace(0.0, 0.5, 30), np.linspace(1.0, 0.5, 30)):
        lightness = [lab(DIVERGING(float(x)), vision)[0] for x in side]
        assert np.all(np.diff(lightness) > 0)


def test_limits_hold_zero_and_leave_air():
    assert value_limits([np.array([np.nan, 1.0]), np.array([2.0])]) == (0.0, 2.12)
    low, high = value_limits([np.array([-1.0, 1.0])])
    assert low == -high == pytest.approx(-1.12)
    assert value_limits([np.zeros(3)]) == (0.0, 1.0)


def test_equal_figures_are_equal_files(tmp_path):
    written = []
    for name in ("a.png", "b.png"):
        ax = plot_letters([0.5, -1.0, 2.0], [0, 3, 2])
        written.append(save(ax.figure, tmp_path / name).read_bytes())
    assert written[0] == written[1]
    assert written[0][:8] == b"\x89PNG\r\n\x1a\n"
    for chunk in (b"tEXt", b"iTXt", b"tIME", b"matplotlib"):
        assert chunk not in written[0]
    # 150 dots per inch, in dots per metre.
    at = written[0].index(b"pHYs") + 4
    assert int.from_bytes(written[0][at : at + 4], "big") == 5906


def test_save_refuses_other_formats(tmp_path):
    figure = plot_letters([1.0], [0]).figure
    with pytest.raises(SettingsError, match=r"found suffix '\.pdf', wanted '\.png'"):
        save(figure, tmp_path / "a.pdf")


def test_save_leaves_nothing_behind_when_it_fails(tmp_path):
    figure = plot_letters([1.0], [0]).figure
    with pytest.raises(OutputError, match=r"cannot be written \(No such file or directory\)"):
        save(figure, tmp_path / "missing" / "a.png")
    (tmp_path / "taken.png").mkdir()
    with pytest.raises(OutputError, match=r"taken\.png: cannot be written"):
        save(figure, tmp_path / "taken.png")
    assert [path.name for path in tmp_path.iterdir()] == ["taken.png"]
