"""Training and scoring with the PyTorch reference implementation."""

import os
from typing import Any

# PyTorch's threads would otherwise spin while the other side works and halve its rate.
# Letting them sleep did not change the rate of PyTorch.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import torch  # noqa: E402

from benchmarks import load as loads  # noqa: E402
from mrm_jax.interop import torch_model  # noqa: E402
from tests.parity import torch_losses  # noqa: E402


class TorchSide:
    """The reference network, either eager or compiled."""

    def __init__(
        self,
        load: loads.Load,
        compiled: bool = False,
        bfloat16: bool = False,
        fused: bool = False,
    ):
        """Puts the network and the records on the device.

        Args:
            load: the records.
            compiled: whether `torch.compile` compiles the network.
            bfloat16: whether the network computes in bfloat16.
            fused: whether Adam is fused on the CPU, as it is on a GPU.
        """
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        signals, labels = load.arrays()
        self._signals = torch.from_numpy(signals.swapaxes(1, 2).copy()).to(self._device)
        self._labels = torch.from_numpy(labels).to(self._device)
        self._net: Any = torch_model.TorchMRMNet(load.labels).to(self._device)
        gpu = self._device == "cuda"
        # Settings of a user who cares about speed; JAX tunes and uses TF32 by default.
        torch.backends.cudnn.benchmark = gpu
        torch.backends.cuda.matmul.allow_tf32 = gpu
        self._optimizer = torch.optim.Adam(
            self._net.parameters(), lr=1e-3, fused=gpu or fused
        )
        if compiled:
            self._net = torch.compile(self._net)
        self._rows = torch.arange(load.records, device=self._device).split(load.batch)
        self._cast = torch.autocast(self._device, torch.bfloat16, enabled=bfloat16)

    def train(self) -> None:
        """Makes one update per batch."""
        self._net.train()
        for rows in self._rows:
            self._optimizer.zero_grad()
            with self._cast:
                logits, stages = self._net(self._take(rows))
            logits, stages = _floats(logits), {n: _floats(s) for n, s in stages.items()}
            labels = self._labels[rows].float()
            loss, _ = torch_losses.loss_terms(logits, stages, labels)
            loss.backward()
            self._optimizer.step()
        self._wait()

    def score(self) -> None:
        """Scores every record and copies the scores to the host."""
        self._net.eval()
        with torch.inference_mode(), self._cast:
            for rows in self._rows:
                logits, _ = self._net(self._take(rows))
                for part in logits:
                    torch.sigmoid(part.float()).cpu()

    def _take(self, rows: torch.Tensor) -> torch.Tensor:
        return (self._signals[rows].float() - loads.MEAN_UV) / loads.STD_UV

    def _wait(self) -> None:
        if self._device == "cuda":
            torch.cuda.synchronize()


def _floats(pair: Any) -> tuple[torch.Tensor, ...]:
    return tuple(tensor.float() for tensor in pair)
