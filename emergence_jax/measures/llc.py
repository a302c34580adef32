"""Local learning coefficient of each task's loss, and the raw elevation."""

import jax
import numpy as np

from emergence_jax.base import prng
from emergence_jax.base.types import Field, Measure, Status
from emergence_jax.measures import options
from emergence_jax.models.objective import Objective
from emergence_jax.numerics import llc as numerics
from emergence_jax.numerics import sgld
from emergence_jax.tasks import padding

_SOURCE = 'arXiv:2308.12108, eq. 8'


def _field(text: str, units: str, source: str = '', **shown) -> Field:
  return Field(('task',), 'float32', text, units, source, **shown)


FIELDS = {
  'llc': _field(
    'local learning coefficient, nβ(E[L] − L(w*))', '1', _SOURCE, label='LLC',
    error='llc_stderr', status='llc_status',
  ),
  'llc_stderr': _field('standard error of llc over its draws', '1'),
  'llc_elevation': _field(
    "mean loss of the draws − L(w*) with the paper's settings (nβ = 1)",
    'nat', 'arXiv:2602.15997, section 3', label='loss elevation',
  ),
  'llc_elevation_stderr': _field('standard error of llc_elevation', 'nat'),
  'llc_loss': _field('L(w*), the loss that llc starts from', 'nat'),
  'llc_rhat': _field('split R-hat of the chains', '1', 'arXiv:1903.08008'),
  'llc_ess': _field('effective number of draws', '1', 'arXiv:1903.08008'),
  'llc_acceptance': _field('mean Metropolis acceptance of the moves', '1'),
  'llc_discretization': _field(
    'ε(nβλmax + γ)/4, the excess variance of the stiffest direction', '1'
  ),
  'llc_bias': _field(
    "what finite steps and batches' noise add to llc, were the loss quadratic",
    '1',
  ),
  'llc_shortfall': _field('what chains that are too short lack, likewise', '1'),
  'llc_gradient_norm': _field(
    "norm of the gradient of the task's loss at w*", 'nat / parameter'
  ),
  'llc_gradient_effect': _field(
    'what the gradient at w* adds to llc, were the loss quadratic', '1'
  ),
  'llc_status': options.status_field(
    ('task',), 'llc', Status.NOT_REACHED, Status.NOT_MIXED, Status.BIASED,
    Status.UNTRUSTED, Status.NEGATIVE, Status.NOT_A_MINIMUM,
  ),
}  # fmt: skip


def make(
  objective: Objective,
  *,
  examples: int = 1000,
  step_size: float = 1e-6,
  num_draws: int = 200,
  num_burnin: int = 200,
  num_chains: int = 2,
  localization: float = 10_000.0,
  nbeta: float | None = None,
  batch_size: int = 64,
  examples_at_once: int | None = None,
  sampler: str = 'sgld',
  descent: int = 0,
  elevation_draws: int = 400,
  elevation_burnin: int = 100,
  tasks: str = '',
) -> Measure:
  """LLC by Langevin dynamics on training examples of each task.

  The loss is the mean over examples of the mean over an answer's tokens.
  `llc_elevation` comes from chains of their own, by
  `numerics.llc.PAPER_SETTINGS`. The defaults are cheap, and no more: on the
  grokking job they mix too slowly, and their status says so. Calibrate for
  your model by `emergence_jax.calibrate_llc`, as `configs/modadd.py` did.

  Args:
    objective: model and exams.
    examples: n of each task (a table has no more than its own).
    step_size: ε.
    num_draws: draws of a chain that count.
    num_burnin: draws before them.
    num_chains: chains.
    localization: γ.
    nbeta: nβ; n / log n if None.
    batch_size: of a minibatch; 0 for all examples.
    examples_at_once: of an evaluation of all, which bounds the memory; as many
      as of a minibatch if None.
    sampler: `sgld` or `rmsprop`.
    descent: steps of gradient descent on all examples before, to the bottom of
      the valley; not for `llc_elevation`.
    elevation_draws: draws of `llc_elevation`; the paper's 400 if left alone.
    elevation_burnin: draws before them; the paper's 100 if left alone.
    tasks: names of those to measure, with commas between them, since each
      costs thousands of gradients; all if empty.
  """
  options.at_least('llc', 2, examples=examples)
  options.at_least(
    'llc', 8, num_draws=num_draws, elevation_draws=elevation_draws
  )
  options.at_least(
    'llc', 1, num_chains=num_chains, examples_at_once=examples_at_once
  )
  options.at_least(
    'llc', 0, num_burnin=num_burnin, elevation_burnin=elevation_burnin,
    batch_size=batch_size, localization=localization, descent=descent,
  )  # fmt: skip
  options.above_zero('llc', step_size=step_size, nbeta=nbeta)
  options.one_of('llc', sgld.SAMPLERS, sampler=sampler)
  exams = objective.exams
  places = options.chosen('llc', exams, tasks)
  among = padding.groups(exams.length_KxL.max(1)[places])

  def inputs(seed):
    key = prng.fixed_key(prng.Fixed.LLC)
    every = exams.by_task(seed, key, examples)
    return jax.tree.map(lambda x: x[np.array(places)], every)

  shape = jax.eval_shape(inputs, jax.ShapeDtypeStruct((), 'int32')).query.shape
  minibatch = min(batch_size, shape[1]) or None
  settings = dict(
    step_size=step_size, num_draws=num_draws, num_burnin=num_burnin,
    num_chains=num_chains, localization=localization, nbeta=nbeta,
    sampler=sampler, batch_size=minibatch, descent=descent,
    examples_at_once=examples_at_once,
  )  # fmt: skip

  paper = numerics.PAPER_SETTINGS | dict(
    num_draws=elevation_draws, num_burnin=elevation_burnin
  )

  def measure(params, batch, key):
    def one_task(x):
      batch, key = x
      key_proper, key_paper = jax.random.split(key)
      loss = objective.mean_example_loss
      result = numerics.estimate_llc(
        loss, params, batch, key_proper, **settings
      )
      raw = numerics.estimate_llc(
        loss, params, batch, key_paper, batch_size=minibatch,
        examples_at_once=examples_at_once,
        curvature=(result.lambda_max, 0.0), **paper,
      )  # fmt: skip
      return {
        'llc': result.llc,
        'llc_stderr': result.stderr,
        'llc_elevation': raw.elevation,
        'llc_elevation_stderr': raw.stderr / raw.nbeta,
        'llc_loss': result.initial_loss,
        'llc_rhat': result.rhat,
        'llc_ess': result.ess,
        'llc_acceptance': result.acceptance,
        'llc_discretization': result.discretization,
        'llc_bias': result.bias,
        'llc_shortfall': result.shortfall,
        'llc_gradient_norm': result.gradient_norm,
        'llc_gradient_effect': result.gradient_effect,
        'llc_status': result.status,
      }

    # A task's draws do not depend on which others are measured.
    count = len(exams.task_names)
    keys = jax.random.split(key, count)[np.array(places)]
    results = padding.over(
      lambda tasks, _: jax.lax.map(one_task, tasks), (batch, keys), among
    )
    return options.spread(results, places, count)

  return Measure(
    fields=FIELDS,
    coords={'task': list(exams.task_names)},
    inputs=inputs,
    inputs_per_seed=exams.differ_by_seed,
    fn=measure,
  )
