"""Networks on the inputs of a table: vectors, images, anything.

A function of parameters and inputs becomes a `Model`, whose tokens are the
numbers of the table's rows.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp

from emergence_jax.base.types import PyTree, UserError
from emergence_jax.models.protocol import ModelShape, Output, count_params
from emergence_jax.tasks.supervised import Table

Features = Mapping[str, jax.Array] | Sequence[jax.Array]


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
  """A network as a `Model`.

  Features of fewer numbers than the widest are padded with zeros, which no
  effective rank sees.

  Attributes:
    table: whose inputs it takes.
    make: key → parameters.
    forward: (parameters, inputs [B, ...]) → (outputs [B, V], features, each
      [B, ...]; by name or in order, from the input to the output).
  """

  table: Table
  make: Callable[[jax.Array], PyTree]
  forward: Callable[[PyTree, PyTree], tuple[jax.Array, Features]]

  def __post_init__(self):
    outputs, features = self._shapes()
    wanted = (1, self.table.vocab_size)
    if outputs.shape != wanted:
      raise UserError(
        f'for one example the network gives outputs of the shape '
        f'{outputs.shape}, and the table wants {wanted}.'
      )
    if not features:
      raise UserError('the network must give at least one array of features.')

  def _shapes(self):
    params = jax.eval_shape(self.make, jax.random.key(0))
    inputs = jax.eval_shape(self.table.look_up, jnp.zeros(1, jnp.int32))
    return jax.eval_shape(self._flat, params, inputs)

  def _flat(self, params, inputs) -> tuple[jax.Array, list[jax.Array]]:
    """Outputs, and features [B, D] in their order."""
    outputs, features = self.forward(params, inputs)
    if isinstance(features, Mapping):
      features = list(features.values())
    return outputs, [x.reshape(len(x), -1) for x in features]

  @functools.cached_property
  def num_layers(self) -> int:
    """Arrays of features; the network is traced for it."""
    return len(self._shapes()[1])

  @property
  def vocab_size(self) -> int:
    """Classes, or numbers of an answer."""
    return self.table.vocab_size

  def init(self, key: jax.Array) -> PyTree:
    """Random parameters."""
    return self.make(key)

  def apply(self, params, tokens, num_queries=None) -> Output:
    """Outputs and features of rows [B, 1]."""
    del num_queries
    inputs = self.table.look_up(tokens[:, 0])
    outputs, features = self._flat(params, inputs)
    widest = max(x.shape[1] for x in features)
    hidden = tuple(
      jnp.pad(x, ((0, 0), (0, widest - x.shape[1])))[:, None] for x in features
    )
    return Output(outputs[:, None], hidden, hidden[-1])

  def ordered(self, params: PyTree) -> list[PyTree]:
    """The parameters in parts, as a mapping lists them."""
    if isinstance(params, Mapping):
      return [{name: params[name]} for name in params]
    return [params]


_ACTIVATIONS = {'relu': jax.nn.relu, 'gelu': jax.nn.gelu, 'tanh': jnp.tanh}


@dataclasses.dataclass(frozen=True)
class MLP(ModelShape):
  """A multilayer perceptron on flattened inputs; `config.model` of `mlp`.

  Attributes:
    width: of the hidden layers.
    depth: hidden layers.
    activation: `relu`, `gelu` or `tanh`.
  """

  width: int = 128
  depth: int = 2
  activation: str = 'relu'
  num_positions = None

  def __post_init__(self):
    for name in ('width', 'depth'):
      if getattr(self, name) < 1:
        raise UserError(
          f'config.model.{name}={getattr(self, name)} must be at least 1.'
        )
    if self.activation not in _ACTIVATIONS:
      raise UserError(
        f'config.model.activation={self.activation!r} is unknown; known: '
        f'{", ".join(_ACTIVATIONS)}.'
      )

  @property
  def num_layers(self) -> int:  # type: ignore[override]
    """Hidden layers."""
    return self.depth

  def build(self, vocab_size: int):
    """An MLP needs the inputs, see `build_for`."""
    del vocab_size
    raise UserError(
      "config.model.name='mlp' takes tasks of vectors and images "
      "(config.task.name='sparse_parity', 'digits', or one of your own made of "
      'emergence_jax.Supervised).'
    )

  def num_weights_for(self, exams) -> int:
    """Parameters, counted without allocating any."""
    return count_params(self.build_for(exams))

  def build_for(self, exams) -> Network:
    """The network on the inputs of a table."""
    if not isinstance(exams, Table):
      return self.build(exams.vocab_size)
    activate = _ACTIVATIONS[self.activation]
    initial = jax.nn.initializers.lecun_normal()
    example = jax.eval_shape(exams.look_up, jnp.zeros(1, jnp.int32))
    size = sum(int(x.size) for x in jax.tree.leaves(example))
    widths = [size, *[self.width] * self.depth, exams.vocab_size]

    def make(key):
      keys = jax.random.split(key, len(widths))
      return {
        f'layer_{i}': {
          'kernel': initial(keys[i], (widths[i], widths[i + 1])),
          'bias': jnp.zeros(widths[i + 1]),
        }
        for i in range(len(widths) - 1)
      }

    def forward(params, inputs):
      flat = [x.reshape(len(x), -1) for x in jax.tree.leaves(inputs)]
      x, features = jnp.concatenate(flat, 1).astype(jnp.float32), []
      for i in range(self.depth):
        layer = params[f'layer_{i}']
        x = activate(x @ layer['kernel'] + layer['bias'])
        features.append(x)
      last = params[f'layer_{self.depth}']
      return x @ last['kernel'] + last['bias'], features

    return Network(exams, make, forward)
