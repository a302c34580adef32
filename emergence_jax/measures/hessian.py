"""Ends of the spectrum and trace of the training loss's Hessian."""

import jax
import jax.numpy as jnp
import numpy as np

from emergence_jax.base import prng
from emergence_jax.base.types import Field, Measure, Status, UserError
from emergence_jax.measures import options
from emergence_jax.models.objective import Objective
from emergence_jax.numerics import hessian as numerics

_SOURCE = 'arXiv:2602.15997, section 3'
_UNITS = 'nat / parameter²'


def _field(what: str, **shown) -> Field:
  text = f'{what} of the Hessian of the training loss'
  return Field(('hessian_index',), 'float32', text, _UNITS, _SOURCE, **shown)


FIELDS = {
  'hessian_eigenvalues': _field(
    'largest eigenvalues', label='largest Hessian eigenvalue',
    pick={'hessian_index': 0}, scale='log', status='hessian_status',
  ),
  'hessian_residuals': _field('residuals of the largest eigenvalues'),
  'hessian_smallest': _field('most negative eigenvalues'),
  'hessian_trace': Field(
    (), 'float32', 'trace of the Hessian of the training loss (Hutchinson)',
    _UNITS, label='Hessian trace', scale='symlog', error='hessian_trace_stderr',
  ),
  'hessian_trace_stderr': Field(
    (), 'float32', 'standard error of hessian_trace', _UNITS
  ),
  'hessian_status': options.status_field(
    (), 'the largest eigenvalues', Status.NOT_CONVERGED, Status.UNTRUSTED
  ),
  'hessian_smallest_status': options.status_field(
    (), 'the most negative eigenvalues', Status.NOT_CONVERGED,
    Status.UNTRUSTED,
  ),
}  # fmt: skip


def _of_one_end(status, converged_K):
  """The status of one end, from that of both and what has converged of it."""
  of_both = (status == Status.OK) | (status == Status.NOT_CONVERGED)
  whole = jnp.where(jnp.all(converged_K), Status.OK, Status.NOT_CONVERGED)
  return jnp.where(of_both, whole, status).astype(jnp.int8)


def make(
  objective: Objective,
  *,
  k: int = 20,
  num_matvecs: int = 60,
  trace_matvecs: int = 16,
  examples: int = 1000,
  examples_at_once: int = 100,
) -> Measure:
  """Top `k` eigenvalues by Lanczos, the most negative, and the trace.

  Args:
    objective: model and exams.
    k: eigenvalues at each end.
    num_matvecs: Lanczos steps, at least k; a quarter more look for repeated
      eigenvalues.
    trace_matvecs: products for the trace, at least 2.
    examples: fixed training examples (a table has no more than its own).
    examples_at_once: examples in one product, which bounds the memory.
  """
  options.at_least('hessian', 1, k=k, examples=examples)
  options.at_least('hessian', 1, examples_at_once=examples_at_once)
  options.at_least('hessian', 2, trace_matvecs=trace_matvecs)
  size = objective.num_params()
  if not k <= num_matvecs <= size:
    raise UserError(
      f'config.measures.hessian: num_matvecs={num_matvecs} must be from k={k} '
      f'to the {size:,} parameters.'
    )
  exams = objective.exams

  def inputs(seed):
    key = prng.fixed_key(prng.Fixed.HESSIAN)
    return exams.training_examples(seed, key, examples)

  def measure(params, batch, key):
    key_ends, key_trace = jax.random.split(key)
    sliced = dict(
      examples_at_once=examples_at_once, weight=objective.num_tokens
    )
    ends = numerics.hessian_eigenvalues(
      objective.loss, params, batch, key_ends, k=k, num_matvecs=num_matvecs,
      softmax_floor=numerics.SOFTMAX_FLOOR, **sliced,
    )  # fmt: skip
    trace = numerics.hessian_trace(
      objective.loss, params, batch, key_trace, num_matvecs=trace_matvecs,
      **sliced,
    )  # fmt: skip
    return {
      'hessian_eigenvalues': ends.eigenvalues,
      'hessian_residuals': ends.residuals,
      'hessian_smallest': ends.smallest,
      'hessian_trace': trace.trace,
      'hessian_trace_stderr': trace.stderr,
      'hessian_status': _of_one_end(ends.status, ends.converged),
      'hessian_smallest_status': _of_one_end(
        ends.status, ends.smallest_converged
      ),
    }

  return Measure(
    fields=FIELDS,
    coords={'hessian_index': np.arange(1, k + 1)},
    inputs=inputs,
    inputs_per_seed=exams.differ_by_seed,
    fn=measure,
  )
