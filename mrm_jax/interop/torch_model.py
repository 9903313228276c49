"""Reference implementation of MRM-Net in PyTorch.

It contains only the layers that the forward pass uses, under the tensor names of the
authors' checkpoints, so that it loads what `mrm_jax.convert --to_torch` writes. It
follows the description of the network closely and is not optimised for speed. The
parity tests compare with it, and the benchmarks call it "PyTorch". Options that the
authors' code does not have (exchange, the ECA paper's convolution) use our own names.
"""

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

from mrm_jax.interop import torch_layers

HIGH, LOW = 0, 1


class BaseBlock(nn.Module):
    """Stem, multi-scale blocks and extractors."""

    def __init__(self, width: int, eca_conv: bool, dropout: float, leads: int):
        """Builds the layers."""
        super().__init__()
        widths = (leads, width, 2 * width, 4 * width, 4 * width)
        for i, taps in enumerate((11, 7, 5, 3)):
            block = nn.Sequential(
                nn.Conv1d(
                    widths[i], widths[i + 1], taps, padding=taps // 2, bias=False
                ),
                nn.BatchNorm1d(widths[i + 1]),
                nn.ReLU(),
                nn.MaxPool1d(2, stride=1, padding=1),
            )
            self.add_module(f"conv_block{i + 1}", block)
        high, low = 4 * width, 8 * width
        self.BaseScale1 = torch_layers.MultiScale(high, high, 1, dropout)
        self.BaseScale2 = torch_layers.MultiScale(high, low, 2, dropout)
        self.layer1 = nn.ModuleList(torch_layers.Residual(high, high) for _ in range(3))
        self.layer2 = nn.ModuleList(
            [
                torch_layers.Residual(low, low),
                torch_layers.ECA(low, eca_conv),
                torch_layers.SE(low),
                torch_layers.Residual(low, low),
                torch_layers.ECA(low, eca_conv),
                torch_layers.SE(low),
                torch_layers.Residual(low, low),
            ]
        )

    def forward(self, signal):
        """Returns (high, low) feature maps after multi-scale blocks and extractors."""
        for i in range(1, 5):
            signal = self.get_submodule(f"conv_block{i}")(signal)
        scales = self.BaseScale1(signal), self.BaseScale2(signal)
        extracted = list(scales)
        for branch, blocks in ((HIGH, self.layer1), (LOW, self.layer2)):
            for block in blocks:
                extracted[branch] = block(extracted[branch])
        return scales, tuple(extracted)


class Fusion(nn.Module):
    """Attention stage of one branch."""

    def __init__(self, channels: int, eca_conv: bool):
        """Builds the layers."""
        super().__init__()
        self.conv_block3 = nn.Sequential(
            nn.Conv1d(channels, channels // 8, 1, bias=False),
            nn.Conv1d(channels // 8, channels, 1, bias=False),
            nn.BatchNorm1d(channels),
        )
        self.conv_block2 = nn.Sequential(
            nn.Conv1d(2, 1, 7, padding=3, bias=False), nn.BatchNorm1d(1)
        )
        self.norm1 = nn.LayerNorm(2 * channels, eps=1e-6)
        self.layer1 = nn.ModuleList(
            [
                torch_layers.Residual(2 * channels, channels),
                torch_layers.ECA(channels, eca_conv),
                torch_layers.SE(channels),
                torch_layers.Residual(channels, channels),
            ]
        )

    def forward(self, inputs):
        """Returns the attended feature map, of the same shape."""
        of_max = self.conv_block3(inputs.amax(2, keepdim=True))
        of_mean = self.conv_block3(inputs.mean(2, keepdim=True))
        channel_gate = torch.sigmoid(of_max + of_mean)
        rows = torch.cat(
            [inputs.amax(1, keepdim=True), inputs.mean(1, keepdim=True)], dim=1
        )
        time_gate = torch.sigmoid(self.conv_block2(rows))
        hidden = torch.cat([channel_gate * inputs, time_gate * inputs], dim=1)
        hidden = self.norm1(hidden.transpose(1, 2)).transpose(1, 2)
        for block in self.layer1:
            hidden = block(hidden)
        return hidden


class Exchange(nn.Module):
    """Feature exchange between the branches, under names of our own."""

    def __init__(self, high: int, low: int):
        """Builds the layers for the numbers of channels of both branches."""
        super().__init__()
        self.up = nn.Sequential(
            nn.Conv1d(low, high, 3, padding=1, bias=False), nn.BatchNorm1d(high)
        )
        self.down = nn.Sequential(
            nn.Conv1d(high, low, 3, 2, padding=1, bias=False), nn.BatchNorm1d(low)
        )

    def forward(self, high, low):
        """Returns high + up(low) and low + down(high)."""
        up = self.up(low).repeat_interleave(2, dim=2)
        return high + up, low + functional.relu(self.down(high))


class TorchMRMNet(nn.Module):
    """The whole network; `forward` returns logits and all stages' feature maps."""

    def __init__(
        self,
        num_labels: int,
        width: int = 16,
        exchange: bool = False,
        eca_conv: bool = False,
        dropout: float = 0.2,
        leads: int = 12,
    ):
        """Builds the network with PyTorch's initialisation; arguments as in MRMNet."""
        super().__init__()
        high, low = 4 * width, 8 * width
        self.BaseBlock = BaseBlock(width, eca_conv, dropout, leads)
        self.exchange = Exchange(high, low) if exchange else None
        self.Fusion_block1 = Fusion(high, eca_conv)
        self.Fusion_block2 = Fusion(low, eca_conv)
        self.conv_norm1 = nn.LayerNorm(high, eps=1e-6)
        self.conv_norm2 = nn.LayerNorm(low, eps=1e-6)
        self.fc1 = nn.Linear(high, num_labels)
        self.fc2 = nn.Linear(low, num_labels)

    def forward(self, signal):
        """Returns (high, low) logits, and stage -> (high, low) feature maps."""
        scales, extracted = self.BaseBlock(signal)
        given = extracted
        if self.exchange is not None:
            given = self.exchange(*extracted)
        attended = self.Fusion_block1(given[HIGH]), self.Fusion_block2(given[LOW])
        logits = (
            self.fc1(self.conv_norm1(attended[HIGH].mean(2))),
            self.fc2(self.conv_norm2(attended[LOW].mean(2))),
        )
        stages = {"multi_scale": scales, "extractor": extracted, "attention": attended}
        return logits, stages

    def load_weights(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Loads the weights of a state dict, which may lack num_batches_tracked.

        Raises:
            ValueError: if names are missing or unknown; lists them.
        """
        found = self.load_state_dict(dict(weights), strict=False)
        missing = [n for n in found.missing_keys if not n.endswith("batches_tracked")]
        if missing or found.unexpected_keys:
            raise ValueError(
                "The state dict does not match the network. Missing names: "
                f"{', '.join(missing) or 'none'}. "
                f"Unknown names: {', '.join(found.unexpected_keys) or 'none'}."
            )


class TorchScorer(nn.Module):
    """The network with standardisation, which scores signals in millivolts."""

    def __init__(self, network: TorchMRMNet, mean_mv: float, std_mv: float):
        """Stores a network and its normalisation statistics."""
        super().__init__()
        self.network = network
        self.mean_mv, self.std_mv = mean_mv, std_mv

    def forward(self, signal_mv):
        """Returns scores [batch, label] by name, for a signal [batch, time, lead]."""
        signal = (signal_mv - self.mean_mv) / self.std_mv
        logits, _ = self.network(signal.transpose(1, 2))
        high, low = (torch.sigmoid(part) for part in logits)
        return {
            "scores_mean": (high + low) / 2,
            "scores_high": high,
            "scores_low": low,
        }
