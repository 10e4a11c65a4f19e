"""Gaussian mixtures under noise, in closed form (guidance card §1.5).

For p0 = N(mu, S) and z_t = alpha z + sigma eps, with C = alpha^2 S + sigma^2 I:

    E[eps | z_t] = sigma C^-1 (z_t - alpha mu),     E[z | z_t] = mu + alpha S C^-1 (z_t - alpha mu)

and for a mixture the same, averaged with the responsibilities r_k ~ pi_k N(z_t; alpha mu_k, C_k).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Mixture:
    """sum_k weight_k N(mean_k, S_k) over D-dimensional vectors.

    Args:
        weights: (K,) or (B, K), rows summing to 1; a mode of weight 0 is not there.
        means: (K, D) or, different for each of B samples, (B, K, D).
        variances: (K, D) eigenvalues of each S_k, >= 0.
        axes: (K, D, D) orthonormal columns, the eigenvectors of each S_k; None where every S_k is diagonal.
    """

    weights: Float[Tensor, "*b k"]
    means: Float[Tensor, "*b k d"]
    variances: Float[Tensor, "k d"]
    axes: Float[Tensor, "k d d"] | None = None

    def to(self, like: Tensor) -> Mixture:
        """The same mixture in the dtype and on the device of `like`."""
        axes = None if self.axes is None else self.axes.to(like)
        return Mixture(self.weights.to(like), self.means.to(like), self.variances.to(like), axes)

    def _to_axes(self, x: Float[Tensor, "b k d"]) -> Float[Tensor, "b k d"]:
        return x if self.axes is None else torch.einsum("kij,bki->bkj", self.axes, x)

    def _from_axes(self, x: Float[Tensor, "b k d"]) -> Float[Tensor, "b k d"]:
        return x if self.axes is None else torch.einsum("kij,bkj->bki", self.axes, x)

    def _offsets(
        self, z_t: Float[Tensor, "b d"], alpha: Float[Tensor, " b"], sigma: Float[Tensor, " b"]
    ) -> tuple[Tensor, Tensor]:
        """Along the axes of each mode: z_t - alpha mu (B, K, D) and the eigenvalues of C (B, K, D)."""
        a, s = alpha[:, None, None], sigma[:, None, None]
        return self._to_axes(z_t[:, None] - a * self.means), a**2 * self.variances + s**2

    def log_density(
        self, z_t: Float[Tensor, "b d"], alpha: Float[Tensor, " b"], sigma: Float[Tensor, " b"]
    ) -> Float[Tensor, " b"]:
        """(B,) log p_t(z_t); log p_0 at alpha = 1, sigma = 0 where no variance is 0."""
        return self._log_joint(z_t, alpha, sigma).logsumexp(1)

    def responsibilities(
        self, z_t: Float[Tensor, "b d"], alpha: Float[Tensor, " b"], sigma: Float[Tensor, " b"]
    ) -> Float[Tensor, "b k"]:
        """(B, K) probability that mode k made z_t; rows sum to 1."""
        return self._log_joint(z_t, alpha, sigma).softmax(1)

    def _log_joint(self, z_t: Tensor, alpha: Tensor, sigma: Tensor) -> Float[Tensor, "b k"]:
        offset, spread = self._offsets(z_t, alpha, sigma)
        log_normal = -0.5 * (offset**2 / spread + (2 * math.pi * spread).log()).sum(-1)
        return self.weights.log() + log_normal

    def predict(
        self, z_t: Float[Tensor, "b d"], alpha: Float[Tensor, " b"], sigma: Float[Tensor, " b"]
    ) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b d"]]:
        """(E[eps | z_t], E[z | z_t]), each (B, D): neither is derived from the other, so no division by 0.

        alpha and sigma may be any pair, not both 0.
        """
        offset, spread = self._offsets(z_t, alpha, sigma)
        r = self.responsibilities(z_t, alpha, sigma)[:, :, None]
        eps = (r * self._from_axes(sigma[:, None, None] * offset / spread)).sum(1)
        z = (r * (self.means + self._from_axes(alpha[:, None, None] * self.variances * offset / spread))).sum(
            1
        )
        return eps, z


def mixture(weights: Float[Tensor, " k"], means: list[Tensor], covariances: list[Tensor]) -> Mixture:
    """A mixture from means (D,) and covariances, each (D,) for a diagonal one or (D, D).

    Raises:
        ValueError: weights not positive, or a covariance that is not symmetric and positive semi-definite.
    """
    if not bool((weights > 0).all()):
        raise ValueError(f"mixture weights must be positive, got {weights.tolist()}")
    if all(c.ndim == 1 for c in covariances):
        variances, axes = torch.stack(covariances), None
    else:
        full = torch.stack([c.diag() if c.ndim == 1 else c for c in covariances])
        if not torch.allclose(full, full.mT):
            raise ValueError("a covariance matrix must be symmetric")
        variances, axes = torch.linalg.eigh(full)
    tolerance = 1e-6 * float(variances.abs().max().clamp_min(1e-30))
    if float(variances.min()) < -tolerance:
        raise ValueError(f"a covariance has the negative eigenvalue {float(variances.min()):g}")
    return Mixture(weights / weights.sum(), torch.stack(means), variances.clamp_min(0.0), axes)
