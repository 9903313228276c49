"""The S4 classifier in PyTorch, written from its definition.

Its state spaces are dense matrices. Their kernels come from running the recurrence one
sample at a time, and filter by PyTorch's direct convolution: there is no Cauchy sum and
no FFT.
"""

import torch
from torch import nn
from torch.nn import functional


class TorchS4(nn.Module):
    """Maps signals [batch, time, lead] to logits, with a list of all feature maps."""

    def __init__(self, num_labels, num_samples, width=512, state_size=8, num_layers=4):
        super().__init__()
        self.encoder = nn.Linear(12, width)
        self.blocks = [f"block_{number + 1}" for number in range(num_layers)]
        for name in self.blocks:
            self.add_module(name, Block(num_samples, width, state_size))
        self.decoder = nn.Linear(width, num_labels)

    def forward(self, signal):
        features = [self.encoder(signal)]
        for name in self.blocks:
            features.append(self.get_submodule(name)(features[-1]))
        return self.decoder(features[-1].mean(1)), features


class Block(nn.Module):
    """A residual block without dropout, on [batch, time, channel]."""

    def __init__(self, num_samples, width, state_size):
        super().__init__()
        self.state_space = StateSpace(num_samples, width, state_size)
        self.mix = nn.Linear(width, 2 * width)
        self.norm = nn.LayerNorm(width)

    def forward(self, signal):
        filtered = self.state_space(signal.mT).mT
        mixed = functional.glu(self.mix(functional.gelu(filtered)))
        return self.norm(signal + mixed)


class StateSpace(nn.Module):
    """State spaces of all channels of [batch, channel, time], in both directions."""

    def __init__(self, num_samples, width, state_size):
        super().__init__()
        pairs = (width, state_size // 2, 2)
        self.num_samples = num_samples
        self.log_step = nn.Parameter(torch.zeros(width))
        self.skip = nn.Parameter(torch.zeros(width))
        self.outputs = nn.Parameter(torch.zeros(2, *pairs))
        for name in ("eigenvalues", "left", "right", "inputs"):
            self.register_parameter(name, nn.Parameter(torch.zeros(pairs)))

    def forward(self, signal):
        causal, anticausal = self.kernels()
        taps = torch.cat([causal.flip(-1), anticausal], -1)[:, None]
        padded = functional.pad(signal, (self.num_samples - 1, self.num_samples))
        filtered = functional.conv1d(padded, taps, groups=len(taps))
        return filtered + self.skip[:, None] * signal

    def kernels(self):
        """Returns the kernels [direction, channel, time] by the recurrence."""
        left, right = _whole(self.left), _whole(self.right)
        eigenvalues = torch.diag_embed(_whole(self.eigenvalues))
        matrix = eigenvalues - left[:, :, None] * right[:, None, :]
        step = self.log_step.exp()[:, None, None]
        identity = torch.eye(left.shape[-1], dtype=left.dtype)
        inverse = torch.linalg.inv(identity - step / 2 * matrix)
        discrete = inverse @ (identity + step / 2 * matrix)
        state = step * inverse @ _whole(self.inputs)[..., None]
        power = torch.linalg.matrix_power(discrete, self.num_samples)
        missing = torch.linalg.inv(identity - power)
        outputs = torch.einsum("dcs,cst->dct", _whole(self.outputs), missing)
        samples = []
        for _ in range(self.num_samples):
            samples.append(torch.einsum("dcs,cs->dc", outputs, state[..., 0]).real)
            state = discrete @ state
        return torch.stack(samples, -1)


def _whole(pairs):
    """Returns the complex values of both of each conjugate pair, on the last axis."""
    values = torch.view_as_complex(pairs)
    return torch.cat([values, values.conj()], -1)
