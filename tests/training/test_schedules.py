import jax
import numpy as np
import optax
import pytest

from mrm_jax.training import schedules
from mrm_jax.training.hparams import HParams

TOTAL = 40


def rates(**values):
    hparams = HParams(total_steps=float(TOTAL), **values)
    return [float(schedules.relative_rate(step, hparams)) for step in range(TOTAL + 1)]


def test_the_defaults_are_a_constant_rate():
    assert set(rates()) == {1.0}  # exactly, so that no number changes


def test_a_cosine_with_warmup_is_that_of_optax():
    found = rates(warmup_fraction=0.25, initial_rate=0.1, final_rate=0.05)
    expected = optax.warmup_cosine_decay_schedule(0.1, 1.0, 10, TOTAL, 0.05)
    np.testing.assert_allclose(found, [expected(s) for s in range(TOTAL + 1)], 1e-5)


def test_a_cosine_without_warmup_is_that_of_optax():
    expected = optax.cosine_decay_schedule(1.0, TOTAL, alpha=0.2)
    found = rates(final_rate=0.2)
    np.testing.assert_allclose(found, [expected(s) for s in range(TOTAL + 1)], 1e-5)


def test_one_cycle_rises_and_falls():
    found = rates(warmup_fraction=0.3, initial_rate=0.04, final_rate=4e-6)
    assert found[0] == pytest.approx(0.04) and found[-1] == pytest.approx(4e-6, rel=0.1)
    assert int(np.argmax(found)) == 12 and max(found) == 1
    assert (np.diff(found[:13]) > 0).all() and (np.diff(found[12:]) < 0).all()


def test_after_its_end_the_rate_stays():
    hparams = HParams(total_steps=4.0, final_rate=0.5)
    assert float(schedules.relative_rate(9, hparams)) == pytest.approx(0.5)


def test_new_values_do_not_trace_again():
    traces = []

    @jax.jit
    def rate(step, hparams):
        traces.append(1)
        return schedules.relative_rate(step, hparams)

    for warmup in (0.0, 0.2):
        rate(3, HParams(warmup_fraction=warmup, total_steps=9.0))
    assert len(traces) == 1
