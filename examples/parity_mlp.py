"""A training loop of one's own, from the first step to a verdict.

python examples/parity_mlp.py
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import emergence_jax as ej

rng = np.random.default_rng(0)
bits = rng.choice(np.array([-1, 1], np.float32), (3000, 30))
parity = (bits[:, :3].prod(1) < 0).astype(int)
table = ej.Supervised(bits, parity, num_train=2000, name='parity')
optimizer = optax.adamw(2e-3, weight_decay=1.0)


def make(key):
  """Parameters of an MLP: 30 → 128 → 2."""
  normal, (a, b) = jax.nn.initializers.lecun_normal(), jax.random.split(key)
  layers = {'in': normal(a, (30, 128)), 'out': normal(b, (128, 2))}
  return layers | {'bias': jnp.zeros(128)}


def forward(params, x):
  """Outputs, and features by name."""
  hidden = jax.nn.relu(x @ params['in'] + params['bias'])
  return hidden @ params['out'], {'hidden': hidden}


@jax.jit
def update(params, state, key):
  """One step on 256 examples."""
  rows = jax.random.randint(key, (256,), 0, 2000)

  def loss(params):
    out, _ = forward(params, jnp.asarray(bits)[rows])
    labels = jnp.asarray(parity)[rows]
    return optax.softmax_cross_entropy_with_integer_labels(out, labels).mean()

  updates, state = optimizer.update(jax.grad(loss)(params), state, params)
  return optax.apply_updates(params, updates), state


def main(folder='runs/parity_mlp', seeds=range(6), steps=1200):
  """Trains, and measures every 30 steps."""
  wanted = {'behaviour': {}, 'rank': {}, 'norms': {}}
  measures = ej.measures_of(ej.Network(table, make, forward), table, wanted)
  with ej.Recorder(folder, seeds=seeds, chance=0.5, measures=measures) as rows:
    for seed in seeds:
      params = make(jax.random.key(seed))
      state = optimizer.init(params)
      for step in range(steps + 1):
        if step % 30 == 0:
          rows.measure(step, params, seed=seed)
        key = jax.random.fold_in(jax.random.key(seed), step)
        params, state = update(params, state, key)


if __name__ == '__main__':
  main()
