"""A model of one's own: each token sees the mean of all before it.

python -m experiments.run --config=examples/own_config.py \\
  --config.model.name=examples.mean_model:Shape
"""

import dataclasses

import jax
import jax.numpy as jnp

import emergence_jax as ej


@dataclasses.dataclass(frozen=True)
class Shape(ej.ModelShape):
  """Its fields are the keys of `config.model`; some here are not needed."""

  num_layers: int = 1
  d_model: int = 32
  d_ff: int = 64
  num_heads: int = 1
  num_positions: int = 9

  def build(self, vocab_size: int) -> ej.Adapted:
    """The model: pure functions, and the order of its parameters."""

    def init(key):
      normal, width = jax.nn.initializers.normal(0.1), self.d_model
      keys = iter(jax.random.split(key, 3 * self.num_layers + 2))
      return {
        'embed': normal(next(keys), (self.num_positions, vocab_size, width)),
        'blocks': [
          {'mix': normal(next(keys), (width, width)),
           'up': normal(next(keys), (width, self.d_ff)),
           'down': normal(next(keys), (self.d_ff, width))}
          for _ in range(self.num_layers)
        ],
        'out': normal(next(keys), (width, vocab_size)),
      }  # fmt: skip

    def forward(params, tokens, num_queries):
      length = tokens.shape[1]
      place, hidden = jnp.arange(length), []
      x = params['embed'][place, tokens]
      for block in params['blocks']:
        seen = jnp.cumsum(x, 1) / (1 + place)[:, None]
        x = x + seen @ block['mix']
        x = x + jax.nn.gelu(x @ block['up']) @ block['down']
        hidden.append(x)
      last = x[:, -(num_queries or length) :]
      hidden[-1] = last
      return ej.Output(last @ params['out'], tuple(hidden), last)

    def order(params):
      return [{name: params[name]} for name in ('embed', 'blocks', 'out')]

    return ej.Adapted(self.num_layers, vocab_size, init, forward, order)
