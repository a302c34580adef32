"""A model of Flax NNX under the measures: train it as you like, then look.

python -m examples.nnx_model
"""

import jax
import jax.numpy as jnp
import optax
from flax import nnx

import emergence_jax as ej

TASK = ej.ModularAddition(p=7, train_fraction=0.7)
WIDTH, LAYERS = 32, 2


class Block(nnx.Module):
  """Causal attention and a perceptron, each added to the residual stream."""

  def __init__(self, rngs):
    self.attend = nnx.MultiHeadAttention(
      2, WIDTH, use_bias=False, decode=False, rngs=rngs
    )
    self.up = nnx.Linear(WIDTH, 4 * WIDTH, rngs=rngs)
    self.down = nnx.Linear(4 * WIDTH, WIDTH, rngs=rngs)

  def __call__(self, x):
    x = x + self.attend(x, mask=nnx.make_causal_mask(x[..., 0]))
    return x + self.down(nnx.gelu(self.up(x)))


class Decoder(nnx.Module):
  """Embedding, blocks, output matrix."""

  def __init__(self, rngs):
    self.embed = nnx.Embed(TASK.vocab_size, WIDTH, rngs=rngs)
    self.positions = nnx.Embed(TASK.length, WIDTH, rngs=rngs)
    self.blocks = nnx.List([Block(rngs) for _ in range(LAYERS)])
    self.out = nnx.Linear(WIDTH, TASK.vocab_size, rngs=rngs)


def forward(module, tokens, num_queries):
  """What the measures look at: logits, and every block's residual stream."""
  del num_queries
  x = module.embed(tokens) + module.positions(jnp.arange(tokens.shape[1]))
  hidden = []
  for block in module.blocks:
    x = block(x)
    hidden.append(x)
  return ej.Output(logits=module.out(x), hidden=tuple(hidden), final=x)


MODEL = ej.from_nnx(
  lambda key: Decoder(nnx.Rngs(key)), forward, num_layers=LAYERS,
  vocab_size=TASK.vocab_size, order=('embed', 'positions', 'blocks', 'out'),
)  # fmt: skip


def train(steps: int):
  """Any training will do; here of the module itself, by NNX's own means."""
  module = Decoder(nnx.Rngs(0))
  optimizer = nnx.Optimizer(module, optax.adam(1e-2), wrt=nnx.Param)
  batch = TASK.examples(TASK.prepare(0))

  @nnx.jit
  def step(module, optimizer):
    def loss(module):
      logits = forward(module, batch.tokens[:, :-1], None).logits[:, -1]
      return optax.softmax_cross_entropy_with_integer_labels(
        logits, batch.tokens[:, -1]
      ).mean()

    optimizer.update(module, nnx.grad(loss)(module))

  for _ in range(steps):
    step(module, optimizer)
  return nnx.to_pure_dict(nnx.state(module, nnx.Param))


def main():
  """Measures the model before and after training."""
  measure = ej.measures_of(MODEL, TASK, {
    'behaviour': {}, 'rank': {'examples': 49},
    'gradcov': {'batches': 8, 'batch_size': 8, 'prefix': 256},
  })  # fmt: skip
  for name, params in {
    'at random': MODEL.init(jax.random.key(0)), 'trained': train(200),
  }.items():  # fmt: skip
    found = measure(params)
    print(
      f'{name}: training accuracy {found["train_accuracy"].item():.2f}, RankMe '
      f'{found["rankme"][0].round(1)}, gradient covariance rank '
      f'{found["gradcov_rank"]:.1f}'
    )


if __name__ == '__main__':
  main()
