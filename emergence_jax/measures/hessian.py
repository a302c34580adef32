"""Ends of the spectrum and trace of the training loss's Hessian."""

import jax
import jax.numpy as jnp
import numpy as np

from emergence_jax import prng
from emergence_jax.measures import options
from emergence_jax.numerics import hessian as numerics
from emergence_jax.objective import Objective
from emergence_jax.types import Field, Measure, Status, UserError

_SOURCE = 'arXiv:2602.15997, section 3'
_UNITS = 'nat / parameter²'


def _field(what: str) -> Field:
  text = f'{what} of the Hessian of the training loss'
  return Field(('hessian_index',), 'float32', text, _UNITS, _SOURCE)


FIELDS = {
  'hessian_eigenvalues': _field('largest eigenvalues'),
  'hessian_residuals': _field('residuals of the largest eigenvalues'),
  'hessian_smallest': _field('most negative eigenvalues'),
  'hessian_trace': Field(
    (), 'float32', 'trace of the Hessian of the training loss (Hutchinson)',
    _UNITS,
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
  one = jnp.where(jnp.all(converged_K), Status.OK, Status.NOT_CONVERGED)
  return jnp.where(of_both, one, status).astype(jnp.int8)


def make(
  objective: Objective,
  *,
  k: int = 20,
  num_matvecs: int = 60,
  trace_matvecs: int = 16,
  examples: int = 1000,
  chunk_examples: int = 1000,
) -> Measure:
  """Top `k` eigenvalues by Lanczos, the most negative, and the trace.

  Args:
    objective: model and task.
    k: eigenvalues at each end.
    num_matvecs: Lanczos steps, at least k; a quarter more look for repeated
      eigenvalues.
    trace_matvecs: products for the trace, at least 2.
    examples: fixed training examples (a table has no more than its own).
    chunk_examples: examples in one product, which bounds the memory.
  """
  options.at_least('hessian', 1, k=k, examples=examples)
  options.at_least('hessian', 1, chunk_examples=chunk_examples)
  options.at_least('hessian', 2, trace_matvecs=trace_matvecs)
  size = objective.num_params()
  if not k <= num_matvecs <= size:
    raise UserError(
      f'config.measures.hessian: num_matvecs={num_matvecs} must be from k={k} '
      f'to the {size:,} parameters.'
    )
  task = objective.task

  def probe(seed):
    key = prng.probe_key(prng.Probe.HESSIAN, 0)
    return task.reference(seed, key, examples)

  def measure(params, batch, key):
    key_ends, key_trace = jax.random.split(key)
    sliced = dict(chunk=chunk_examples, weight=objective.num_tokens)
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
    probe=probe,
    probe_per_seed=task.has_table,
    fn=measure,
  )
