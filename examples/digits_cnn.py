"""A convolutional network of Flax on scikit-learn's digits.

python examples/digits_cnn.py
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from sklearn import datasets

import emergence_jax as ej

digits = datasets.load_digits()
images, labels = digits.images[..., None] / 16, digits.target
table = ej.Supervised(images, labels, num_train=300, name='digits')
optimizer = optax.adam(3e-3)


class CNN(nn.Module):
  """Two convolutions and a layer on top."""

  @nn.compact
  def __call__(self, x):
    first = nn.relu(nn.Conv(8, (3, 3), strides=(2, 2))(x))
    second = nn.relu(nn.Conv(16, (3, 3), strides=(2, 2))(first))
    dense = nn.relu(nn.Dense(32)(second.reshape(len(x), -1)))
    return nn.Dense(10)(dense), [first, second, dense]


network = CNN()
model = ej.Network(
  table, lambda key: network.init(key, jnp.zeros((1, 8, 8, 1))), network.apply
)


@jax.jit
def update(params, state):
  """One step on all of the training images."""

  def loss(params):
    out, _ = network.apply(params, table.inputs[:300])
    each = optax.softmax_cross_entropy_with_integer_labels(out, labels[:300])
    return each.mean()

  updates, state = optimizer.update(jax.grad(loss)(params), state)
  return optax.apply_updates(params, updates), state


def main(folder='runs/digits_cnn', seeds=range(4), steps=200):
  """Keeps every tenth step, then measures all that was kept."""
  kept = {}
  for seed in seeds:
    params = model.init(jax.random.key(seed))
    state = optimizer.init(params)
    for step in range(steps + 1):
      kept[step, seed] = params
      params, state = update(params, state)
  ej.measure_checkpoints(
    lambda step, seed: kept[step, seed], folder, model=model, exams=table,
    measures={'behaviour': {}, 'rank': {}, 'norms': {}},
    steps=range(0, steps + 1, 10), seeds=seeds,
  )  # fmt: skip


if __name__ == '__main__':
  main()
