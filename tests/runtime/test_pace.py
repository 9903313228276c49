import pytest

from mrm_jax.runtime import pace


class Clock:
    """A clock that is set by hand."""

    def __init__(self):
        self.now = 50.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_skipped_time_does_not_count(clock):
    measured = pace.Pace(clock)
    clock.now += 90  # a compilation
    measured.skip()
    clock.now += 4
    measured.lap(20)
    assert measured.rate() == pytest.approx(5)
    assert measured.seconds_for(35) == pytest.approx(7)


def test_nothing_is_known_before_a_second_was_measured(clock):
    measured = pace.Pace(clock)
    assert measured.rate() is None and measured.seconds_for(3) is None
    clock.now += 0.75
    measured.lap(10)
    assert measured.rate() is None
    clock.now += 0.75
    measured.lap(5)
    assert measured.rate() == pytest.approx(10)


def test_time_without_units_gives_no_pace(clock):
    measured = pace.Pace(clock)
    clock.now += 5
    measured.lap(0)
    assert measured.seconds_for(1) is None


def test_a_new_pace_outweighs_an_old_one(clock):
    measured = pace.Pace(clock)
    for seconds in (2, 8):
        measured.age()
        clock.now += seconds
        measured.lap(8)
    # 8 units in 2 s count half: 4 in 1 s, and 8 in 8 s.
    assert measured.rate() == pytest.approx(12 / 9)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (119.4, "119 s"),
        (120, "2 min"),
        (7199, "120 min"),
        (7200, "2 h 0 min"),
        (3 * 3600 + 59.9 * 60, "4 h 0 min"),
        (172799, "48 h 0 min"),
        (172800, "2 d 0 h"),
        (10 * 86400 + 5 * 3600, "10 d 5 h"),
    ],
)
def test_durations_in_words(seconds, text):
    assert pace.duration(seconds) == text


def test_an_unknown_time_is_no_fact():
    assert pace.time_left(None) == ()
    assert pace.time_left(7.2) == ("7 s left",)
