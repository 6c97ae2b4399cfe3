import numpy as np

from dfim_fast.plot.view import choose_view


def spikes(length, *positions):
    weight = np.zeros(length)
    weight[list(positions)] = 1.0
    return weight


def test_short_sequence_is_shown_whole():
    assert choose_view((3, 4), 90, spikes(100, 90), 120) == [(0, 100)]


def test_one_stretch_is_centred_on_the_interaction():
    assert choose_view((480, 481), 520, spikes(1000, 520), 120) == [(440, 560)]


def test_one_stretch_moves_to_hold_other_targets():
    ((start, stop),) = choose_view((480, 481), 500, spikes(1000, 500, 570), 120)
    assert start <= 468 and stop > 570 and stop - start == 120


def test_noise_does_not_move_a_stretch():
    weight = spikes(1000, 520) + 1e-5 * np.arange(1000) / 1000
    assert choose_view((480, 481), 520, weight, 120) == [(440, 560)]


def test_far_target_gets_a_stretch_of_its_own():
    views = choose_view((900, 901), 100, spikes(1000, 100), 120)
    assert len(views) == 2
    (a, b), (c, d) = views
    assert a <= 88 and 112 <= b < c <= 888 and d >= 912
    assert (b - a) + (d - c) <= 120


def test_distant_weight_gets_a_stretch_with_itself_in_the_middle():
    views = choose_view((200, 201), 205, spikes(1000, 205, 730, 731, 732), 120)
    assert len(views) == 2
    start, stop = views[1]
    assert abs((start + stop) / 2 - 731) <= 1


def test_spread_out_noise_opens_no_second_stretch():
    weight = np.full(1000, 0.001)
    weight[205] = 0.2
    assert len(choose_view((200, 201), 205, weight, 120)) == 1


def test_stretches_stay_within_the_sequence():
    assert choose_view((0, 1), 999, spikes(1000, 999), 120) == [(0, 57), (943, 1000)]


def test_stretches_that_meet_become_one():
    views = choose_view((400, 480), 420, spikes(1000, 420, 509), 120)
    assert views == [(388, 538)]
