"""The state space layer of S4: a long convolution whose kernel a linear system defines.

Each channel has a system of its own with the state x, the input u and the output y:

    dx/dt = A x + B u,    y = C x + D u.

A bilinear transform of step Δ makes it discrete, x[t] = Ā x[t-1] + B̄ u[t]. Its output
is then the convolution of u with the kernel k[t] = C Āᵗ B̄, plus D u. The structure of A
allows `kernel` to compute all k[t] at once, without the powers of Ā.

A is the HiPPO-LegS matrix, with which the state keeps the history of u as Legendre
coefficients. It is normal plus low-rank: A = V (Λ - p qᵀ) V*, with a diagonal Λ and
vectors p and q. `kernel` works in the basis V. There all quantities come in conjugate
pairs, of which one is stored, so that a state of size N has N / 2 "pairs".

References:
    Gu et al., 2022, "Efficiently Modeling Long Sequences with Structured State Spaces",
    arXiv 2111.00396.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from mrm_jax.models import layers

MIN_STEP, MAX_STEP = 0.001, 0.1  # of Δ at initialisation, the unit is a sample


class Dynamics(NamedTuple):
    """What determines the states, in the basis V; without "channel" for one channel."""

    eigenvalues: jax.Array | np.ndarray  # [channel, pair], Λ
    left: jax.Array | np.ndarray  # [channel, pair], p
    right: jax.Array | np.ndarray  # [channel, pair], q
    inputs: jax.Array | np.ndarray  # [channel, pair], B


def legs(
    state_size: int,
) -> tuple[Float[np.ndarray, "state state"], Float[np.ndarray, " state"]]:
    """Returns the matrices A and B of HiPPO-LegS in float64.

    References:
        Gu et al., 2020, arXiv 2008.07669, theorem 2.
    """
    degree = np.arange(state_size)
    inputs = np.sqrt(2 * degree + 1)
    matrix = -np.tril(np.outer(inputs, inputs), -1) - np.diag(degree + 1)
    return matrix, inputs


def normal_plus_low_rank(
    state_size: int,
) -> tuple[Dynamics, Complex[np.ndarray, "state pair"]]:
    """Returns HiPPO-LegS as Λ, p, q and B of one channel, and the basis V, as NumPy.

    A + p pᵀ with p = √(n + 1/2) is -1/2 plus a skew-symmetric matrix, which has
    orthogonal eigenvectors. Its eigenvalues of positive imaginary part are kept; the
    others are their conjugates.
    """
    matrix, inputs = legs(state_size)
    low_rank = np.sqrt(np.arange(state_size) + 0.5)
    skew = matrix + np.outer(low_rank, low_rank) + np.eye(state_size) / 2
    frequencies, basis = np.linalg.eigh(-1j * skew)  # ascending, symmetric about 0
    basis = basis[:, state_size // 2 :]
    left = low_rank @ basis.conj()
    dynamics = Dynamics(
        eigenvalues=-0.5 + 1j * frequencies[state_size // 2 :],
        left=left,
        right=left.conj(),
        inputs=inputs @ basis.conj(),
    )
    return dynamics, basis


def kernel(
    log_step: Float[Array, " channel"],
    dynamics: Dynamics,
    outputs: Complex[Array, "direction channel pair"],
    length: int,
) -> Float[Array, "direction channel time"]:
    """Returns the first samples of the kernel, k[t] = C Āᵗ B̄.

    The values of Σ k[t] ωᵗ at the roots of unity ω are found in closed form, and an
    inverse FFT gives k. In the basis of eigenvectors they are sums over 1 / (z - Δ λ)
    (Cauchy) with a correction for the low rank (Woodbury), at z = 2 (1 - ω) / (1 + ω).
    Here all terms are multiplied by 1 + ω, as z is infinite at ω = -1.

    Args:
        log_step: log Δ, the unit of Δ is a sample.
        dynamics: Λ, p, q and B.
        outputs: C (I - Āᴸ) of one or more systems that share their states, where L is
            the length. Its precision is that of the kernel.
        length: number of samples L.

    References:
        Gu et al., 2022, arXiv 2111.00396, algorithm 1.
    """
    root = np.exp(-2j * np.pi * np.arange(length // 2 + 1) / length)
    numerator = jnp.asarray(2 * (1 - root), outputs.dtype)
    denominator = jnp.asarray(1 + root, outputs.dtype)
    step = jnp.exp(log_step)[:, None, None]
    poles = step * _with_conjugates(dynamics.eigenvalues)[..., None]
    cauchy = 2 * step / (numerator[None, None] - poles * denominator[None, None])
    sources = jnp.stack([dynamics.inputs, dynamics.left])
    sinks = jnp.concatenate([outputs, dynamics.right[None]])
    # One product for all six sums; the default precision of accelerators is too low.
    sums = jnp.einsum(
        "abcs,csf->abcf",
        _with_conjugates(sources[:, None] * sinks[None]),
        cauchy,
        precision=jax.lax.Precision.HIGHEST,
    )
    half = denominator[None] / 2
    feedback = sums[0, -1] * half / (1 + sums[1, -1] * half)
    return jnp.fft.irfft(sums[0, :-1] - sums[1, :-1] * feedback[None], length)


def fft_convolve(
    signal: layers.FeatureMap, kernels: Float[Array, "direction channel time"]
) -> layers.FeatureMap:
    """Returns each channel convolved with its kernels, by FFT with zero padding.

    It is Σₛ forward[s] signal[t - s] + Σₛ backward[s] signal[t + 1 + s]. Outside the
    signal there are zeros. The FFTs are computed in the precision of the kernels.

    Args:
        signal: the feature map, as long as the kernels.
        kernels: forward, or forward and backward.
    """
    length = signal.shape[1]
    backward = kernels[1, :, ::-1] if len(kernels) == 2 else jnp.zeros_like(kernels[0])
    circular = jnp.concatenate([kernels[0], backward], axis=-1)
    # XLA transforms the last axis: one transposition before and one after all of it.
    by_channel = signal.astype(kernels.dtype).swapaxes(1, 2)
    spectrum = jnp.fft.rfft(by_channel, 2 * length) * jnp.fft.rfft(circular)[None]
    filtered = jnp.fft.irfft(spectrum, 2 * length)[..., :length]
    return filtered.swapaxes(1, 2).astype(signal.dtype)


class StateSpace(nn.Module):
    """One state space for each channel of a feature map; channels do not mix.

    As in the authors' code, log Δ is drawn uniformly between the logs of MIN_STEP and
    MAX_STEP, C and D from normal distributions (C complex, of variance 1), and what is
    trained is not C but C (I - Āᴸ). The layer therefore belongs to a length L.

    Complex parameters are stored as real and imaginary parts along a last axis of 2,
    because optimisers and files hold real numbers. The kernel and the FFTs are computed
    in the precision of the parameters, whatever the precision of the signal.

    Attributes:
        state_size: size N of the state of each channel, even.
        bidirectional: whether a second kernel with the same states runs backwards in
            time, from the next sample on. Without it, the layer is causal.
        train_dynamics: whether Δ, Λ, p, q and B are trained, for each channel. If not,
            they keep their initial values: Δ in "batch_stats", since it is random, and
            the others as constants of the program.
    """

    state_size: int
    bidirectional: bool = True
    train_dynamics: bool = False

    @nn.compact
    def __call__(self, signal: layers.FeatureMap) -> layers.FeatureMap:
        """Returns the outputs of the systems, in the precision of signal."""
        length, channels = signal.shape[1:]
        log_step = self._log_step(channels)
        shape = (1 + self.bidirectional, channels, self.state_size // 2, 2)
        outputs = self.param("outputs", _initial_outputs, shape, log_step, length)
        skip = self.param("skip", nn.initializers.normal(1), (channels,))
        outputs = _as_complex(outputs)
        dynamics = self._dynamics(channels, outputs.dtype)
        kernels = kernel(log_step, dynamics, outputs, length)
        # D u is the convolution with a kernel that is D at lag 0 and 0 elsewhere.
        return fft_convolve(signal, kernels.at[0, :, 0].add(skip))

    def _log_step(self, channels):
        """Returns log Δ [channel], a parameter or a fixed value."""
        if self.train_dynamics:
            return self.param("log_step", _initial_log_step, (channels,))
        return self.variable(
            "batch_stats",
            "log_step",
            lambda: _initial_log_step(self.make_rng("params"), (channels,)),
        ).value

    def _dynamics(self, channels, dtype):
        """Returns Λ, p, q and B of every channel, parameters or constants."""
        hippo, _ = normal_plus_low_rank(self.state_size)
        shape = (channels, self.state_size // 2)
        if not self.train_dynamics:
            return Dynamics(
                *(jnp.broadcast_to(jnp.asarray(part, dtype), shape) for part in hippo)
            )

        def pairs(rng, part):
            """Returns the initial value of a parameter, the same for all channels."""
            return _as_pairs(jnp.broadcast_to(jnp.asarray(part), shape))

        return Dynamics(
            **{
                name: _as_complex(self.param(name, pairs, part))
                for name, part in hippo._asdict().items()
            }
        )


def _initial_log_step(rng, shape):
    low, high = np.log(MIN_STEP), np.log(MAX_STEP)
    return jax.random.uniform(rng, shape, float, low, high)


def _initial_outputs(rng, shape, log_step, length):
    """Returns C (I - Āᴸ) for a random C, as real and imaginary parts.

    Ā = 2 (I - Δ/2 A)⁻¹ - I has a closed form, as A is diagonal plus low-rank. LAPACK's
    solvers of many small systems, called by XLA's threads, can wait for each other
    forever on the CPU (jaxlib 0.10.2).
    """
    drawn = jax.random.normal(rng, shape, log_step.dtype) / np.sqrt(2)
    outputs = _with_conjugates(_as_complex(drawn))
    hippo, _ = normal_plus_low_rank(outputs.shape[-1])
    eigenvalues, left, right, _ = (
        _with_conjugates(jnp.asarray(part, outputs.dtype))[None] for part in hippo
    )
    half = jnp.exp(log_step)[:, None] / 2
    inverse = 1 / (1 - half * eigenvalues)  # [channel, state], without the low rank
    scale = half / (1 + half * jnp.sum(right * inverse * left, -1, keepdims=True))
    low_rank = (inverse * left * scale)[:, :, None] * (right * inverse)[:, None]
    identity = jnp.eye(outputs.shape[-1], dtype=outputs.dtype)[None]
    discrete = 2 * (inverse[:, None] * identity - low_rank) - identity
    correction = identity - jnp.linalg.matrix_power(discrete, length)
    corrected = jnp.einsum("dcr,crs->dcs", outputs, correction)
    return _as_pairs(corrected[..., : shape[-2]])


def _with_conjugates(pairs):
    """Returns the whole state's values of one of each pair, along the last axis."""
    return jnp.concatenate([pairs, pairs.conj()], axis=-1)


def _as_complex(pairs):
    return jax.lax.complex(pairs[..., 0], pairs[..., 1])


def _as_pairs(values):
    return jnp.stack([values.real, values.imag], axis=-1)
