"""Draws what measures look like when they work, and when they do not.

  python -m experiments.gallery.limits

One seed learns to add modulo 31, and is measured at step 400 with ever more of
what each measure needs. Filled dots are estimates whose status is `ok`, hollow
ones any other. Two minutes on two cores.
"""

import pathlib
import tempfile

import jax
import jax.numpy as jnp
import numpy as np

import emergence_jax as ej
from emergence_jax.cli import config_flag
from emergence_jax.config import schema
from emergence_jax.report import style
from emergence_jax.running import loop

_PATH = pathlib.Path(__file__).with_name('limits.png')
_STEPS, _EVERY = 400, 10


def _trained(folder: pathlib.Path):
  """Objective, training examples, and step → parameters of one seed."""
  raw = config_flag.load('modadd')
  raw['seeds'] = {'count': 1}
  raw['train'] = {'steps': _STEPS}
  raw['checkpoints'] = {'schedule': f'{_EVERY}', 'keep': 0}
  raw['measures'] = {'behaviour': {}}
  config = schema.from_mapping(raw)
  loop.run(config, folder)
  params = {
    step: ej.load_params(folder, step=step)[1]
    for step in range(_STEPS // 2, _STEPS + 1, _EVERY)
  }
  objective = config.objective
  batch = objective.exams.training_examples(
    jnp.int32(0), jax.random.key(0), 10_000
  )
  return objective, batch, params


def _dots(axes, x, y, ok, label, colour, error=None) -> None:
  """A line of dots, those that are not ok hollow."""
  ok = np.broadcast_to(ok, np.shape(y))
  axes.plot(x, y, color=colour, alpha=0.5, label=label)
  for good in (True, False):
    chosen = ok == good
    axes.plot(
      np.asarray(x)[chosen], np.asarray(y)[chosen], 'o', color=colour,
      fillstyle='full' if good else 'none',
    )  # fmt: skip
  if error is not None:
    axes.errorbar(x, y, error, color=colour, fmt='none')


def _first(batch, count: int):
  return jax.tree.map(lambda x: x[:count], batch)


def _ranks(axes, objective, params, batch) -> None:
  """Of hidden states and of gradients, by the number of examples."""
  states_ND = objective.query_states(params, batch)[0]
  counts = [4, 8, 16, 32, 64, 128, 256, 512]
  rank = [ej.rankme(states_ND[:n]) for n in counts]
  fisher = [
    ej.fisher_effective_rank(
      objective.example_loss, params, _first(batch, n)
    ).effective_rank
    for n in counts
  ]
  axes.plot(counts[:6], counts[:6], ':', color='0.5', label='bound')
  # What ever more examples do not change.
  for y, label, colour in (
    (rank, 'RankMe', style.BLUE), (fisher, 'Fisher rank', style.ORANGE),
  ):  # fmt: skip
    y = np.array(y)
    settled = np.abs(np.diff(np.log(y), append=np.log(y[-1]))) < 0.1
    _dots(axes, counts, y, settled, label, colour)
  axes.set_xscale('log', base=2)
  axes.set_yscale('log', base=2)
  axes.set_xlabel('examples')
  axes.set_title('Ranks: near the bound, they count examples')


def _eigenvalues(axes, objective, params, batch) -> None:
  """By the number of products."""
  counts = [6, 10, 16, 32, 64]
  made = [
    ej.hessian_eigenvalues(
      objective.loss, params, batch, jax.random.key(1), k=5, num_matvecs=n
    )
    for n in counts
  ]
  for place, label, colour in (
    (0, 'largest', style.BLUE), (4, 'fifth', style.ORANGE),
  ):  # fmt: skip
    y = [float(x.eigenvalues[place]) for x in made]
    ok = [bool(x.converged[place]) for x in made]
    _dots(axes, counts, y, ok, label, colour)
  axes.set_xscale('log', base=2)
  axes.set_yscale('log')
  axes.set_xlabel('products with the Hessian')
  axes.set_title('Hessian: hollow until a value has converged')


def _llc(axes, objective, params, batch) -> None:
  """By the step size, and by the number of draws."""
  settings = dict(
    num_chains=2, localization=30_000.0, batch_size=64, descent=40,
    examples_at_once=1000,
  )  # fmt: skip
  sizes = [3e-9, 3e-8, 1e-7, 3.5e-7, 1e-6, 3e-6, 6e-6]
  for draws, label, colour in (
    (1000, '1,000 draws', style.BLUE), (100, '100 draws', style.ORANGE),
  ):  # fmt: skip

    @jax.jit
    def of_size(size, draws=draws):
      return ej.estimate_llc(
        objective.mean_example_loss, params, batch, jax.random.key(2),
        step_size=size, num_draws=draws, num_burnin=draws // 4, **settings,
      )  # fmt: skip

    made = [of_size(size) for size in sizes]
    y = np.array([float(x.llc) for x in made])
    ok = np.array([int(x.status) == ej.Status.OK for x in made])
    error = np.array([float(x.stderr) for x in made])
    _dots(axes, sizes, y, ok, label, colour, error)
    words = [ej.Status(int(x.status)).name.lower() for x in made]
    for i, word in enumerate(words):
      if colour == style.BLUE and word != 'ok' and word != words[i - 1]:
        axes.annotate(
          word.replace('_', ' '), (sizes[i], y[i]), xytext=(6, 8),
          textcoords='offset points', fontsize=8,
        )  # fmt: skip
  axes.set_xscale('log')
  axes.set_ylim(-2, 60)
  axes.set_xlabel('step size ε')
  axes.set_title('LLC: a plateau between not mixed and biased')


def _barriers(axes, objective, params, batch) -> None:
  """By how far checkpoints lie apart."""
  steps = sorted(params)
  for apart, colour in ((10, style.BLUE), (50, style.ORANGE)):
    pairs = [(s - apart, s) for s in steps if s - apart in params]
    y = [
      float(
        ej.loss_barrier(objective.loss, params[a], params[b], batch).barrier
      )
      for a, b in pairs
    ]
    axes.plot(
      [b for _, b in pairs], y, 'o-', color=colour, label=f'{apart} steps apart'
    )
  axes.set_yscale('symlog', linthresh=1e-4)
  axes.set_xlabel('step')
  axes.set_title('Barrier: it grows with the distance')


def _probes(axes, objective, params, batch) -> None:
  """By the number of examples."""
  states_ND = objective.query_states(params, batch)[0]
  answers = batch.tokens[:, -1]
  counts = [62, 124, 248, 496, len(answers)]
  for half, label, colour in (
    ('accuracy', 'on held-out examples', style.BLUE),
    ('train_accuracy', 'on its own', style.ORANGE),
  ):
    y = [
      float(
        getattr(
          ej.linear_probe(states_ND[:n], answers[:n], num_classes=32), half
        )
      )
      for n in counts
    ]
    _dots(axes, counts, y, True, label, colour)
  axes.axhline(1 / 31, ls=':', color='0.5', label='chance')
  axes.set_xscale('log', base=2)
  axes.set_ylim(0, 1.02)
  axes.set_xlabel('examples of 31 classes')
  axes.set_title('Probe: few examples are learned by heart')


def _traces(axes, objective, params, batch) -> None:
  """By the number of products and the method."""
  counts = [4, 8, 16, 64]
  for method, colour in (('hutchinson', style.BLUE), ('xtrace', style.ORANGE)):
    made = [
      ej.hessian_trace(
        objective.loss,
        params,
        batch,
        jax.random.key(3),
        method=method,
        num_matvecs=n,
      )  # fmt: skip
      for n in counts
    ]
    y = np.array([float(x.trace) for x in made])
    error = np.array([float(x.stderr) for x in made])
    _dots(axes, counts, y, error < 0.1 * np.abs(y), method, colour, error)
  axes.set_xscale('log', base=2)
  axes.set_xlabel('products with the Hessian')
  axes.set_title('Trace: within its error, or hollow above a tenth')


def main() -> None:
  """Trains, measures and draws."""
  with tempfile.TemporaryDirectory() as folder:
    objective, batch, params = _trained(pathlib.Path(folder, 'run'))
  last = params[_STEPS]
  with style.matplotlib.rc_context(style.RC):
    figure, axes = style.subplots(2, 3, figsize=(14, 8))
    panels = _ranks, _eigenvalues, _traces, _llc, _probes
    for panel, own in zip(panels, axes.flat, strict=False):
      panel(own, objective, last, batch)
    _barriers(axes.flat[5], objective, params, batch)
    for own in axes.flat:
      own.legend(fontsize=8)
    style.save(figure, _PATH, dpi=110)


if __name__ == '__main__':
  main()
