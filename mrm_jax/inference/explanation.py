"""Explains the score of a label by attributions and the gates of the network."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from mrm_jax.data import windows
from mrm_jax.inference import attribution, prediction
from mrm_jax.runs import trained_run

# The values should sum to the change of the logit. A larger relative error leads to
# more steps, and then to a warning. With the demo's network, 6 of 19 explanations of
# real records exceeded it after 64 steps, and one after 256, with a small change.
LARGE_GAP = 0.05
STEPS = (64, 256)


@dataclasses.dataclass(frozen=True, eq=False)
class Explanation:
    """The explanation of one label's logit in one window of a recording."""

    label: str
    head: str  # head of the logit: high, low, or the mean of both
    window: int  # index among the recording's windows
    start_s: float  # start of the window, seconds
    attribution: attribution.Attribution  # values [time, lead], in the network's order
    gates: Mapping[str, np.ndarray]  # branch -> [time], 0 to 1, see attribution

    @property
    def change(self) -> float:
        """The difference of the logit to that of an ECG without any voltage."""
        return self.attribution.logit - self.attribution.baseline_logit

    @property
    def gap(self) -> float:
        """The error of the values' sum, relative to `change`; 0.05 is 5 %."""
        missed = abs(self.attribution.gap)
        return missed / abs(self.change) if self.change else float(missed > 0)

    def __repr__(self) -> str:
        """Returns one line with the label, the window and the gap."""
        return (
            f"<Explanation of {self.label}, {self.head} head, window {self.window} "
            f"from {self.start_s:g} s: logit {self.attribution.logit:+.2f}, without "
            f"voltage {self.attribution.baseline_logit:+.2f}, gap {self.gap:.1%}>"
        )


def shown_window(result: prediction.Prediction) -> int:
    """Returns the window of a recording that its plot and its explanations show.

    It depends on the scores only, so that the plain plot and the explanations of any
    labels show the same heartbeats: the window with the highest mean score of the
    labels found, or of the label with the highest score if none is found.
    """
    scores = result.scores
    labels = result.found or (max(scores, key=lambda label: scores[label]),)
    columns = [result.labels.index(label) for label in labels]
    return int(result.window_scores[result.head][:, columns].mean(axis=1).argmax())


def explain(
    run: trained_run.TrainedRun,
    cut: windows.Windows,
    result: prediction.Prediction,
    label: str,
    window: int | None = None,
) -> Explanation:
    """Explains a label's score in one window of a recording.

    The baseline is an ECG without any voltage, see `attribution.zero_millivolts`.

    Args:
        run: the trained run.
        cut: windows of the recording.
        result: scores of the recording; their head is explained.
        label: one of the run's labels.
        window: number of the window, from 0; None: `shown_window`.

    Raises:
        ValueError: if there is no such label or window; lists those that exist.
    """
    check_label(label, run.labels)
    window = shown_window(result) if window is None else window
    check_window(window, cut)
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
    """Checks that a network has a label.

    Raises:
        ValueError: if it does not; lists its labels.
    """
    if label not in labels:
        raise ValueError(
            f"This run has no label {label!r}. Expected one of {', '.join(labels)}."
        )


def check_window(window: int, cut: windows.Windows) -> None:
    """Checks that a recording has a window.

    Raises:
        ValueError: if it does not; says which it has.
    """
    count = len(cut.start_s)
    if not 0 <= window < count:
        raise ValueError(f"window: expected 0 to {count - 1}, got {window}.")
