"""Superposition: 20 sparse features in 5 numbers, a regression.

Source: Elhage et al., Toy models of superposition (2022).

python examples/superposition.py
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import emergence_jax as ej

rng = np.random.default_rng(0)
x = rng.random((4000, 20)) * (rng.random((4000, 20)) > 0.9)
table = ej.Supervised(x, x, num_train=3000, tolerance=0.1, name='features')
optimizer = optax.adam(5e-3)


def make(key):
  """One matrix, used both ways, and a bias."""
  return {'w': 0.1 * jax.random.normal(key, (20, 5)), 'b': jnp.zeros(20)}


def forward(params, x):
  """What is read out of the five numbers, and these."""
  hidden = x @ params['w']
  return jax.nn.relu(hidden @ params['w'].T + params['b']), [hidden]


@jax.jit
def update(params, state):
  """One step on all examples."""
  data = jnp.asarray(table.inputs[:3000])

  def loss(params):
    return 0.5 * jnp.mean((forward(params, data)[0] - data) ** 2)

  updates, state = optimizer.update(jax.grad(loss)(params), state)
  return optax.apply_updates(params, updates), state


def main(folder='runs/superposition', seeds=range(3), steps=1000):
  """Trains; a feature is represented if its row is half as long as 1."""
  wanted = {'behaviour': {}, 'rank': {}, 'hessian': {'k': 2}}
  measures = ej.measures_of(ej.Network(table, make, forward), table, wanted)
  with ej.Recorder(folder, seeds=seeds, measures=measures) as rows:
    for seed in seeds:
      params = make(jax.random.key(seed))
      state = optimizer.init(params)
      for step in range(steps + 1):
        if step % 50 == 0:
          known = (jnp.linalg.norm(params['w'], axis=1) > 0.5).sum()
          rows.measure(step, params, seed=seed, represented=known)
        params, state = update(params, state)


if __name__ == '__main__':
  main()
