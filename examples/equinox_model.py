"""Checkpoints of an Equinox model, measured into a timeseries with a report.

python -m examples.equinox_model
"""

import pathlib
import tempfile

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

import emergence_jax as ej

TASK = ej.ModularAddition(p=7, train_fraction=0.7)
WIDTH = 32


class Decoder(eqx.Module):
  """One block: attention to what was before, and a perceptron."""

  embed: jax.Array
  attend: eqx.nn.MultiheadAttention
  perceptron: eqx.nn.MLP
  out: eqx.nn.Linear

  def __init__(self, key):
    k1, k2, k3, k4 = jax.random.split(key, 4)
    shape = TASK.length, TASK.vocab_size, WIDTH
    self.embed = jax.random.normal(k1, shape)  # of each place and token
    self.attend = eqx.nn.MultiheadAttention(2, WIDTH, key=k2)
    self.perceptron = eqx.nn.MLP(WIDTH, WIDTH, 4 * WIDTH, 1, key=k3)
    self.out = eqx.nn.Linear(WIDTH, TASK.vocab_size, key=k4)

  def __call__(self, tokens):
    """Logits and residual stream of one sequence [T]."""
    place = jnp.arange(len(tokens))
    x = self.embed[place, tokens]
    x = x + self.attend(x, x, x, mask=place[:, None] >= place)
    x = x + jax.vmap(self.perceptron)(x)
    return jax.vmap(self.out)(x), x


def forward(module, tokens, num_queries):
  """What the measures look at."""
  del num_queries
  logits, x = jax.vmap(module)(tokens)
  return ej.Output(logits, (x,), x)


MODEL = ej.from_equinox(
  Decoder, forward, num_layers=1, vocab_size=TASK.vocab_size
)


def train(seed: int, steps: list[int]):
  """Step → parameters, by a training of one's own."""
  module = Decoder(jax.random.key(seed))
  optimizer = optax.adam(1e-2)
  state = optimizer.init(eqx.filter(module, eqx.is_inexact_array))
  batch = TASK.examples(TASK.prepare(seed))

  @eqx.filter_jit
  def update(module, state):
    def loss(module):
      logits = forward(module, batch.tokens[:, :-1], None).logits[:, -1]
      return optax.softmax_cross_entropy_with_integer_labels(
        logits, batch.tokens[:, -1]
      ).mean()

    grads = eqx.filter_grad(loss)(module)
    updates, state = optimizer.update(grads, state)
    return eqx.apply_updates(module, updates), state

  found = {}
  for step in range(steps[-1] + 1):
    if step in steps:
      found[step] = {'module': eqx.filter(module, eqx.is_inexact_array)}
    module, state = update(module, state)
  return found


def main(workdir: str | None = None):
  """Measures every tenth step of three seeds; returns where."""
  workdir = pathlib.Path(workdir or tempfile.mkdtemp()) / 'equinox'
  steps = list(range(0, 101, 10))
  trained = {seed: train(seed, steps) for seed in range(3)}
  ej.measure_checkpoints(
    lambda step, seed: trained[seed][step],
    workdir, model=MODEL, exams=TASK, steps=steps, seeds=[0, 1, 2],
    measures={'behaviour': {}, 'rank': {'examples': 49}, 'barrier': {}},
  )  # fmt: skip
  print(f'Next: python -m experiments.report --workdir={workdir}')
  return workdir


if __name__ == '__main__':
  main()
