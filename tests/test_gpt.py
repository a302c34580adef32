"""The decoder: sizes, causality, and a forward pass written in NumPy."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emergence_jax.base.types import UserError
from emergence_jax.models import gpt
from emergence_jax.models.objective import Objective
from emergence_jax.tasks.algorithmic import AlgorithmicTask
from emergence_jax.tasks.modular import ModularAddition
from tests import tiers

SMALL = gpt.GPTConfig(2, 16, 4, 32, num_positions=12, init_std=0.5)


def model_and_params(config=SMALL, vocab=11, length=7):
  model = gpt.Decoder(config, vocab)
  tokens = jax.random.randint(jax.random.key(1), (3, length), 0, vocab)
  params = jax.jit(model.init)(jax.random.key(0), tokens)['params']
  return model, params, tokens


@pytest.mark.parametrize(
  'size,count',
  [
    ('nano', 405_248),
    ('micro', 1_788_288),
    ('small', 7_405_440),
    ('medium', 25_220_096),
    ('large', 85_022_208),
    ('xlarge', 151_111_680),
  ],
)
def test_parameter_counts(size, count):
  layers, d, _, f = gpt.SIZES[size]
  by_hand = layers * (4 * d * d + 2 * d * f + 2 * d) + d + (41 + 48) * d
  assert by_hand == count
  task = AlgorithmicTask()
  model = gpt.model(gpt.GPTConfig(*gpt.SIZES[size]), task.vocab_size)
  assert Objective(model, task).num_params() == count


@pytest.mark.parametrize('layer', tiers.some([0, 1, 'final', 'logits'], 3))
def test_causality_by_gradient(layer):
  model, params, tokens = model_and_params(
    gpt.GPTConfig(2, 16, 4, 32, num_positions=12, init_std=0.5, tied=False)
  )
  # Every token of the batch gets an embedding of its own, to differentiate.
  index = jnp.arange(tokens.size).reshape(tokens.shape)
  wide = model.clone(vocab_size=tokens.size)
  unembed = jax.random.normal(jax.random.key(2), (16, tokens.size))
  params = params | {'unembed': unembed}

  def output(embed, position):
    out = wide.apply({'params': params | {'embed': embed}}, index)
    value = out.hidden[layer] if isinstance(layer, int) else getattr(out, layer)
    return jnp.sum(value[:, position] ** 2)

  gradient = jax.jit(jax.grad(output))
  for position in range(tokens.shape[1]):
    grad = gradient(params['embed'][tokens.ravel()], position)
    seen = jnp.abs(grad).reshape(*tokens.shape, -1).sum((0, 2)) > 0
    assert seen.tolist() == [i <= position for i in range(tokens.shape[1])]


@pytest.mark.nightly
def test_later_tokens_leave_earlier_logits_alone():
  model, params, tokens = model_and_params()
  other = tokens.at[:, 4:].set((tokens[:, 4:] + 1) % 11)
  a = model.apply({'params': params}, tokens).logits
  b = model.apply({'params': params}, other).logits
  np.testing.assert_array_equal(a[:, :4], b[:, :4])
  assert (a[:, 4:] != b[:, 4:]).any()


def numpy_forward(params, tokens, config):
  """Pre-LayerNorm decoder, in float64."""
  p = jax.tree.map(lambda x: np.asarray(x, np.float64), params)

  def norm(x, scale):
    centred = x - x.mean(-1, keepdims=True)
    return (
      centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6) * scale
    )

  def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)

  def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))

  t, e = tokens.shape[1], config.d_model // config.num_heads
  x = p['embed'][tokens] + p['positions'][:t]
  hidden = []
  for i in range(config.num_layers):
    block = p[f'block_{i}']
    h = norm(x, block['norm_attention']['scale'])
    q = h @ block['query']['kernel']
    k, v = np.split(h @ block['key_value']['kernel'], 2, -1)
    mixed = np.zeros_like(x)
    for head in range(config.num_heads):
      part = slice(head * e, (head + 1) * e)
      score = q[..., part] @ k[..., part].swapaxes(1, 2) / np.sqrt(e)
      score = np.where(np.tril(np.ones((t, t))), score, -np.inf)
      mixed[..., part] = softmax(score) @ v[..., part]
    x = x + mixed @ block['attention_out']['kernel']
    h = norm(x, block['norm_mlp']['scale'])
    h = gelu(h @ block['mlp_in']['kernel'])
    x = x + h @ block['mlp_out']['kernel'].T
    hidden.append(x)
  final = norm(x, p['norm_final']['scale'])
  return final @ p['embed'].T, hidden, final


def test_parity_with_numpy():
  model, params, tokens = model_and_params()
  logits, hidden, final = numpy_forward(params, np.asarray(tokens), SMALL)
  out = model.apply({'params': params}, tokens)
  chex.assert_trees_all_close(
    (out.logits, list(out.hidden), out.final), (logits, hidden, final),
    rtol=2e-4, atol=2e-4,
  )  # fmt: skip


@pytest.mark.parametrize('norm', tiers.some([True, False]))
def test_fewer_queries_give_the_same_numbers(norm):
  config = gpt.GPTConfig(
    2, 16, 4, 32, num_positions=12, norm=norm, tied=norm, biases=not norm,
    activation='gelu' if norm else 'relu', init_std=0.3,
  )  # fmt: skip
  model, params, tokens = model_and_params(config)
  full = model.apply({'params': params}, tokens)
  last = model.apply({'params': params}, tokens, 2)
  np.testing.assert_allclose(
    full.logits[:, -2:], last.logits, rtol=1e-4, atol=1e-5
  )
  chex.assert_shape(last.hidden[-1], (3, 2, 16))
  chex.assert_shape(last.hidden[0], (3, 7, 16))


def test_init_scales():
  task = AlgorithmicTask()
  model = gpt.model(gpt.GPTConfig(*gpt.SIZES['nano']), task.vocab_size)
  params = Objective(model, task).init(jax.random.key(0))
  block = params['block_0']
  for name, std in (('mlp_in', 0.02), ('mlp_out', 0.01), ('query', 0.02)):
    kernel = block[name]['kernel']
    # The standard error of a standard deviation is std / sqrt(2·size).
    slack = 5 * std / np.sqrt(2 * kernel.size)
    assert abs(float(jnp.std(kernel)) - std) < slack


@pytest.mark.parametrize('batch_size', tiers.some([0, 4], 1))
@pytest.mark.nightly
def test_example_loss_is_the_loss_of_one(batch_size):
  task = ModularAddition(7, 0.5, batch_size=batch_size)
  model = gpt.model(
    gpt.GPTConfig(1, 8, 2, 16, num_positions=3), task.vocab_size
  )
  objective = Objective(model, task)
  params = jax.jit(objective.init)(jax.random.key(0))
  batch = task.train_batch(task.prepare(0), jax.random.key(1))
  single = jax.jit(jax.vmap(objective.example_loss, (None, 0)))(params, batch)
  np.testing.assert_allclose(
    single.mean(), jax.jit(objective.loss)(params, batch), rtol=1e-5
  )
  answers = jax.jit(objective.answers)(params, batch)
  np.testing.assert_allclose(-answers.log_prob, single, rtol=1e-5)


@pytest.mark.parametrize(
  'options,key',
  [
    (dict(num_heads=3), 'num_heads=3'),
    (dict(activation='tanh'), "activation='tanh'"),
    (dict(num_layers=0), 'num_layers=0'),
  ],
)
def test_refuses(options, key):
  with pytest.raises(UserError, match=key):
    gpt.GPTConfig(
      **{**dict(num_layers=1, d_model=8, num_heads=2, d_ff=8), **options}
    )


def test_refuses_long_sequences():
  model, params, _ = model_and_params()
  with pytest.raises(UserError, match='num_positions=12'):
    model.apply({'params': params}, jnp.zeros((1, 13), jnp.int32))


@pytest.mark.nightly
@pytest.mark.parametrize(
  'layers,num_queries', [(1, None), (1, 2), (2, None), (2, 2)]
)
def test_large_batches_look_keys_up_and_give_the_same(layers, num_queries):
  """Of many sequences those of a token and place are computed once."""
  config = gpt.GPTConfig(
    layers, 16, 4, 32, num_positions=12, init_std=0.5, attention_biases=True
  )
  model, params, _ = model_and_params(config)
  tokens = jax.random.randint(jax.random.key(3), (30, 7), 0, 11)
  weight = jax.random.normal(jax.random.key(4), (30, num_queries or 7, 11))

  def loss(params, apply):
    return jnp.sum(weight * apply(params))

  def together(params):
    return model.apply({'params': params}, tokens, num_queries).logits

  def apart(params):  # ten at once are too few for it
    return jnp.concatenate(
      [
        model.apply({'params': params}, some, num_queries).logits
        for some in jnp.split(tokens, 3)
      ]
    )

  text = str(jax.make_jaxpr(together)(params))
  assert '[11,7,32]' in text  # keys and values of every token and place
  assert '[11,7,32]' not in str(jax.make_jaxpr(apart)(params))
  chex.assert_trees_all_close(
    jax.jit(together)(params), jax.jit(apart)(params), rtol=1e-4, atol=1e-5
  )
  gradient = jax.jit(jax.grad(loss), static_argnums=1)
  chex.assert_trees_all_close(
    gradient(params, together), gradient(params, apart), rtol=1e-3, atol=1e-3
  )
