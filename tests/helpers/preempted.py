"""Preemption of this process at a chosen place of its training."""

import os
import signal

from mrm_jax.training import input_pipeline


def send_before_call(monkeypatch, number):
    """Sends this process SIGTERM before a mapped call, counted from 0."""
    calls, count = input_pipeline.SplitLoader.calls, iter(range(1000))

    def counted(*args):
        for call in calls(*args):
            if next(count) == number:
                os.kill(os.getpid(), signal.SIGTERM)
            yield call

    monkeypatch.setattr(input_pipeline.SplitLoader, "calls", counted)
