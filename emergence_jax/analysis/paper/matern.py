"""Gaussian-process interpolation of series at uneven steps.

The kernel is Matérn's with ν = 5/2 over log(1 + step): training moves on that
scale, and leaving out single checkpoints of published curves says so too
(tests/test_matern.py). All series that are given share length and noise; each
has a mean and an amplitude of its own, so that scaling a series scales its
interpolation.

Source: arXiv:2602.15997, section 3 (for Pythia's schedule); Rasmussen and
Williams, Gaussian Processes for Machine Learning, equations 2.25, 2.30, 4.17.
"""

from typing import NamedTuple

import numpy as np
from scipy import linalg

_LENGTHS = 16
# Variance of the noise in units of the kernel's.
_NOISES = (1e-6, 1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0)


class Fit(NamedTuple):
  """Attributes: length in log(1 + step), variance of noise / amplitude."""

  length: float
  noise: float


def kernel(x_M: np.ndarray, z_N: np.ndarray, length: float) -> np.ndarray:
  """Matérn-5/2 with amplitude 1, [M, N]."""
  d = np.sqrt(5) * np.abs(x_M[:, None] - z_N) / length
  return (1 + d + d**2 / 3) * np.exp(-d)


def _standard(series_xC: np.ndarray):
  """Mean 0 and deviation 1 along steps; which rows are finite and change."""
  mean = series_xC.mean(-1, keepdims=True)
  std = series_xC.std(-1, keepdims=True)
  fine = np.isfinite(series_xC).all(-1)
  moves = fine & (std[..., 0] > 1e-9 * np.abs(np.nan_to_num(mean[..., 0])))
  return mean, std, moves


def evidence(step_C: np.ndarray, series_NC: np.ndarray, fit: Fit) -> float:
  """Log marginal likelihood of N standardised series, up to a constant.

  Each series takes its best amplitude. Higher is better; comparable over
  fits of the same series.
  """
  x = np.log1p(step_C)
  count = len(x)
  gram = kernel(x, x, fit.length) + fit.noise * np.eye(count)
  factor = linalg.cholesky(gram, lower=True)
  white = linalg.solve_triangular(factor, series_NC.T, lower=True)
  amplitude_N = (white**2).mean(0)
  half_log_det = np.log(np.diag(factor)).sum()
  return float(
    -0.5 * count * np.log(amplitude_N).sum() - len(series_NC) * half_log_det
  )


def fit(step_C: np.ndarray, series: np.ndarray) -> Fit:
  """Length and noise of the largest evidence, on a grid.

  Args:
    step_C: steps of the checkpoints, increasing.
    series: [..., C]; those that are not finite, or do not change, are left
      out.
  """
  step_C = np.asarray(step_C, float)
  flat = np.asarray(series, float).reshape(-1, len(step_C))
  mean, std, moves = _standard(flat)
  rows = (flat[moves] - mean[moves]) / std[moves]
  x = np.log1p(step_C)
  lengths = np.geomspace(np.diff(x).min(), 2 * np.ptp(x), _LENGTHS)
  grid = [Fit(float(a), b) for a in lengths for b in _NOISES]
  if not len(rows):
    return grid[-1]
  return max(grid, key=lambda λ: evidence(step_C, rows, λ))


def interpolate(
  step_C: np.ndarray, series: np.ndarray, at_N: np.ndarray, fitted: Fit
) -> np.ndarray:
  """Posterior means [..., N] of series [..., C] at steps `at_N`.

  A series that is not finite gives nan; one that does not change, itself.
  """
  step_C = np.asarray(step_C, float)
  flat = np.asarray(series, float).reshape(-1, len(step_C))
  mean, std, moves = _standard(flat)
  x, z = np.log1p(step_C), np.log1p(np.asarray(at_N, float))
  gram = kernel(x, x, fitted.length) + fitted.noise * np.eye(len(x))
  weights = linalg.cho_solve(
    linalg.cho_factor(gram), kernel(x, z, fitted.length)
  )
  values = np.broadcast_to(mean, (len(flat), len(z))).copy()
  values[moves] += (flat[moves] - mean[moves]) @ weights
  return values.reshape(*np.shape(series)[:-1], len(z))


def by_process(
  step_C: np.ndarray, series: np.ndarray, at_N: np.ndarray
) -> np.ndarray:
  """Series [..., C] at other steps, by a process fitted to them: [..., N]."""
  return interpolate(step_C, series, at_N, fit(step_C, series))
