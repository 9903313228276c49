"""Why a run gives a record the score of a label: what its network looks at."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from mrm_jax.data import windows
from mrm_jax.inference import attribution, prediction
from mrm_jax.runs import trained_run

# The values should sum to all of the change; a larger error is worth more steps, and
# then a warning. With the demo's network, 6 of 19 explanations of real records had it
# after 64 steps, one after 256, where the change was small.
LARGE_GAP = 0.05
STEPS = (64, 256)


@dataclasses.dataclass(frozen=True, eq=False)
class Explanation:
    """What the logit of one label rests on, in one window of a recording."""

    label: str
    head: str  # whose logit: high, low, or the mean of both
    window: int  # its place among the recording's windows
    start_s: float  # where the window begins
    attribution: attribution.Attribution  # values [time, lead], in the network's order
    gates: Mapping[str, np.ndarray]  # branch -> [time], 0 to 1, see attribution

    @property
    def change(self) -> float:
        """How much higher the logit is than that of no voltage at all."""
        return self.attribution.logit - self.attribution.baseline_logit

    @property
    def gap(self) -> float:
        """The part of `change` that the values miss, or sum to beyond it; 0.05: 5 %."""
        missed = abs(self.attribution.gap)
        return missed / abs(self.change) if self.change else float(missed > 0)

    def __repr__(self) -> str:
        """Returns one line: the label, the window and how much is explained."""
        return (
            f"<Explanation of {self.label}, {self.head} head, window {self.window} "
            f"from {self.start_s:g} s: logit {self.attribution.logit:+.2f}, without "
            f"voltage {self.attribution.baseline_logit:+.2f}, gap {self.gap:.1%}>"
        )


def explain(
    run: trained_run.TrainedRun,
    cut: windows.Windows,
    result: prediction.Prediction,
    label: str,
) -> Explanation:
    """Returns what a label's score rests on, in the window where it is highest.

    The baseline is an ECG without any voltage, see `attribution.zero_millivolts`.

    Args:
        run: whose network is asked.
        cut: a recording as the network takes it.
        result: its scores; their head is asked.
        label: one of the run's.

    Raises:
        ValueError: naming the labels, if it is none of them.
    """
    check_label(label, run.labels)
    window = result.window_of([label])
    mean_uv, std_uv = run.data["mean_uv"], run.data["std_uv"]
    signal_uv = cut.signals_uv[window].astype(np.float32)
    signal = (signal_uv - np.float32(mean_uv)) / np.float32(std_uv)
    baseline = attribution.zero_millivolts(signal, mean_uv, std_uv)
    target = attribution.Target(run.labels.index(label), result.head)
    gates = attribution.time_gates(run.model, run.variables, signal)
    for steps in STEPS:
        parts = attribution.integrated_gradients(
            run.model, run.variables, signal, baseline, target, steps
        )
        explained = Explanation(
            label, result.head, window, cut.start_s[window], parts, gates
        )
        if explained.gap <= LARGE_GAP:
            break
    return explained


def check_label(label: str, labels: Sequence[str]) -> None:
    """Refuses a label that a network does not have.

    Raises:
        ValueError: naming those it has.
    """
    if label not in labels:
        raise ValueError(
            f"this run has no label {label!r}; expected one of {', '.join(labels)}"
        )
