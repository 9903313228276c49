"""MRM-Net in PyTorch, as the specification states it: the reference of the parity.

Live layers only, under the tensor names of the authors' checkpoints, on signals
[batch, lead, time]. It is written for likeness to the description, not for speed, and
is what the benchmarks call "PyTorch". Options that the authors' code does not have
(exchange, the ECA paper's convolution) have names of our own.
"""

import math

import torch
from torch import nn
from torch.nn import functional

GROUP_WIDTH = 16
HIGH, LOW = 0, 1


class Residual(nn.Module):
    """Two convolutions of 3 taps beside a skip."""

    def __init__(self, inputs: int, channels: int):
        super().__init__()
        self.conv1 = nn.Conv1d(inputs, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm1d(channels)
        self.conv2 = nn.Conv1d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm1d(channels)
        self.downsample = None
        if inputs != channels:
            self.downsample = nn.Sequential(
                nn.Conv1d(inputs, channels, 1, bias=False), nn.BatchNorm1d(channels)
            )

    def forward(self, inputs):
        hidden = functional.relu(self.bn1(self.conv1(inputs)))
        hidden = self.bn2(self.conv2(hidden))
        skip = inputs if self.downsample is None else self.downsample(inputs)
        return functional.relu(hidden + skip)


class Grouped(nn.Module):
    """What SE and ECA share: a gated grouped convolution beside a skip."""

    def __init__(self, channels: int, taps: int):
        super().__init__()
        groups = channels // GROUP_WIDTH
        self.group_conv3x3 = nn.Conv1d(
            channels, channels, taps, padding=taps // 2, groups=groups, bias=False
        )
        self.bn1 = nn.BatchNorm1d(channels)

    def gate(self, pooled):
        raise NotImplementedError

    def forward(self, inputs):
        hidden = functional.relu(self.bn1(self.group_conv3x3(inputs)))
        return inputs + self.gate(hidden.mean(2))[..., None] * hidden


class SqueezeExcite(nn.Module):
    """Holds the two linear maps under the checkpoint's name, se.fc."""

    def __init__(self, channels: int):
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channels, channels // 4, bias=False),
            nn.ReLU(),
            nn.Linear(channels // 4, channels, bias=False),
            nn.Sigmoid(),
        )


class SE(Grouped):
    """Squeeze and excitation."""

    def __init__(self, channels: int):
        super().__init__(channels, 3)
        self.se = SqueezeExcite(channels)

    def gate(self, pooled):
        return self.se.fc(pooled)


class ECA(Grouped):
    """Gate by the mean itself, or by the paper's convolution over channels."""

    def __init__(self, channels: int, eca_conv: bool):
        super().__init__(channels, 7)
        self.eca_conv = None
        if eca_conv:
            taps = int(abs((math.log2(channels) + 1) / 2))
            taps += 1 - taps % 2
            self.eca_conv = nn.Conv1d(1, 1, taps, padding=taps // 2, bias=False)

    def gate(self, pooled):
        if self.eca_conv is not None:
            pooled = self.eca_conv(pooled[:, None])[:, 0]
        # Not functional.hardsigmoid: its gradient takes a sixth in float32 in any type.
        return functional.relu6(pooled + 3) / 6


class MultiScale(nn.Module):
    """Four parallel convolutions (path A) beside one (path B)."""

    def __init__(self, inputs: int, channels: int, stride: int, dropout: float):
        super().__init__()

        def conv(taps):
            return nn.Conv1d(
                inputs, channels, taps, stride, padding=taps // 2, bias=False
            )

        self.conv1, self.conv2 = conv(3), conv(13)
        self.conv3, self.conv4 = conv(23), conv(33)
        self.bn = nn.BatchNorm1d(channels)
        self.dropout = nn.Dropout(dropout)
        self.conv_block = nn.Sequential(
            conv(3), nn.BatchNorm1d(channels), nn.ReLU(), nn.MaxPool1d(2)
        )

    def forward(self, inputs):
        scales = (self.conv1, self.conv2, self.conv3, self.conv4)
        mean = torch.stack([conv(inputs) for conv in scales]).mean(0)
        path_a = functional.max_pool1d(functional.relu(self.bn(mean)), 2)
        return self.dropout(path_a) + self.conv_block(inputs)


class BaseBlock(nn.Module):
    """Stem, multi-scale blocks and extractors."""

    def __init__(self, width: int, eca_conv: bool, dropout: float, leads: int):
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
        self.BaseScale1 = MultiScale(high, high, 1, dropout)
        self.BaseScale2 = MultiScale(high, low, 2, dropout)
        self.layer1 = nn.ModuleList(Residual(high, high) for _ in range(3))
        self.layer2 = nn.ModuleList(
            [
                Residual(low, low),
                ECA(low, eca_conv),
                SE(low),
                Residual(low, low),
                ECA(low, eca_conv),
                SE(low),
                Residual(low, low),
            ]
        )

    def forward(self, signal):
        for i in range(1, 5):
            signal = self.get_submodule(f"conv_block{i}")(signal)
        scales = self.BaseScale1(signal), self.BaseScale2(signal)
        extracted = list(scales)
        for branch, blocks in ((HIGH, self.layer1), (LOW, self.layer2)):
            for block in blocks:
                extracted[branch] = block(extracted[branch])
        return scales, tuple(extracted)


class Fusion(nn.Module):
    """The attention stage of one branch."""

    def __init__(self, channels: int, eca_conv: bool):
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
                Residual(2 * channels, channels),
                ECA(channels, eca_conv),
                SE(channels),
                Residual(channels, channels),
            ]
        )

    def forward(self, inputs):
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
    """Each branch's features for the other one; names of our own."""

    def __init__(self, high: int, low: int):
        super().__init__()
        self.up = nn.Sequential(
            nn.Conv1d(low, high, 3, padding=1, bias=False), nn.BatchNorm1d(high)
        )
        self.down = nn.Sequential(
            nn.Conv1d(high, low, 3, 2, padding=1, bias=False), nn.BatchNorm1d(low)
        )

    def forward(self, high, low):
        up = self.up(low).repeat_interleave(2, dim=2)
        return high + up, low + functional.relu(self.down(high))


class TorchMRMNet(nn.Module):
    """The whole network; `forward` gives logits and the maps of all stages."""

    def __init__(
        self,
        num_labels: int,
        width: int = 16,
        exchange: bool = False,
        eca_conv: bool = False,
        dropout: float = 0.2,
        leads: int = 12,
    ):
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
        """Returns (high, low) logits, and stage -> (high, low) maps."""
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


def flatten(feature_map, pairing):
    """Returns [batch, feature] channel by channel, or step by step."""
    if pairing == "time_aligned":
        feature_map = feature_map.transpose(1, 2)
    return feature_map.flatten(1)


def symmetric_kl(a, b, temperature=4.0):
    """Returns KL(b || a) + KL(a || b) of softened softmaxes, per record, times T²."""
    log_a = functional.log_softmax(a / temperature, dim=1)
    log_b = functional.log_softmax(b / temperature, dim=1)
    kl_ba = functional.kl_div(log_a, log_b, reduction="sum", log_target=True)
    kl_ab = functional.kl_div(log_b, log_a, reduction="sum", log_target=True)
    return (kl_ba + kl_ab) * temperature**2 / len(a)


def symmetric_bernoulli_kl(a, b, temperature=4.0):
    """Returns the same for one coin a label: a softmax over (z, 0) each."""
    pairs = (torch.stack([z, torch.zeros_like(z)], dim=2) for z in (a, b))
    flat_a, flat_b = (pair.reshape(-1, 2) for pair in pairs)
    return symmetric_kl(flat_a, flat_b, temperature) * a.shape[1]


def loss_terms(
    logits,
    stages,
    labels,
    mutual_stages=("attention",),
    pairing="channel_major",
    divergence="softmax",
):
    """Returns the weighted total and its unweighted terms, by the names of mrm_loss."""
    high, low = logits
    bce = functional.binary_cross_entropy_with_logits
    logit_kl = symmetric_kl if divergence == "softmax" else symmetric_bernoulli_kl
    terms = {
        "bce_high": bce(high, labels),
        "bce_low": bce(low, labels),
        "feature_kl": sum(
            (
                symmetric_kl(*(flatten(part, pairing) for part in stages[stage]))
                for stage in mutual_stages
            ),
            start=torch.zeros((), dtype=high.dtype),
        ),
        "logit_kl": logit_kl(high, low),
    }
    total = terms["bce_high"] + terms["bce_low"]
    total = total + 0.01 * terms["feature_kl"] + 0.1 * terms["logit_kl"]
    return total, terms
