"""The PyTorch side of `bench measures`: SGLD and Lanczos, by libraries.

Runs in the environment that the benchmark makes; prints one JSON line.
"""

import argparse
import concurrent.futures
import functools
import json
import math
import multiprocessing
import time

import torch
import torch.nn.functional as F
from devinterp.optim import SGMCMC
from devinterp.slt.sampler import sample_single_chain
from torch import nn
from torch_modadd import Decoder, data


class Linear(nn.Module):
  """A deep linear network of equal widths."""

  def __init__(self, width=10, layers=3):
    super().__init__()
    self.layers = nn.ModuleList(
      nn.Linear(width, width, bias=False) for _ in range(layers)
    )

  def forward(self, x):
    """[B, width] → [B, width]."""
    for layer in self.layers:
      x = layer(x)
    return x


class GPT(nn.Module):
  """The decoder of `emergence_jax.models.gpt` at size nano."""

  def __init__(self, vocab=41, d=128, heads=4, d_ff=512, layers=2, places=48):
    super().__init__()
    self.heads, self.layers = heads, layers

    def normal(*shape, std=0.02):
      return nn.Parameter(std * torch.randn(*shape))

    out = 0.02 / math.sqrt(2 * layers)
    self.embed, self.positions = normal(vocab, d), normal(places, d)
    for i in range(layers):
      self.register_parameter(f'qkv_{i}', normal(d, 3 * d))
      self.register_parameter(f'out_{i}', normal(d, d, std=out))
      self.register_parameter(f'up_{i}', normal(d, d_ff))
      self.register_parameter(f'down_{i}', normal(d_ff, d, std=out))
      for name in ('a', 'm'):
        self.register_parameter(f'{name}_{i}', nn.Parameter(torch.ones(d)))
    self.final = nn.Parameter(torch.ones(d))

  def forward(self, tokens):
    """Tokens [B, T] → logits [B · T, V]."""
    n, t = tokens.shape
    x = self.embed[tokens] + self.positions[:t]
    d = x.shape[-1]
    mask = torch.full((t, t), -torch.inf).triu(1)
    for i in range(self.layers):
      get = lambda name, i=i: getattr(self, f'{name}_{i}')  # noqa: E731
      h = F.layer_norm(x, (d,), get('a'))
      qkv = (h @ get('qkv')).view(n, t, 3, self.heads, -1)
      q, k, v = qkv.permute(2, 0, 3, 1, 4)
      # Written out: the fused kernel has no second derivative.
      weight = q @ k.transpose(-1, -2) / math.sqrt(k.shape[-1]) + mask
      mixed = weight.softmax(-1) @ v
      x = x + mixed.transpose(1, 2).reshape(n, t, d) @ get('out')
      h = F.layer_norm(x, (d,), get('m'))
      x = x + F.gelu(h @ get('up'), approximate='tanh') @ get('down')
    x = F.layer_norm(x, (d,), self.final)
    return (x @ self.embed.T).reshape(n * t, -1)


def cross_entropy(model, batch):
  """Mean cross-entropy of a batch."""
  return F.cross_entropy(model(batch[0]), batch[1])


def squared_error(model, batch):
  """Mean squared error of a batch."""
  return F.mse_loss(model(batch[0]), batch[1])


def sgld_problem(name):
  """Model, inputs, targets, and the loss of a model and a batch."""
  torch.manual_seed(0)
  if name == 'modadd':
    return Decoder(113), *data(0, 113, 0.3), cross_entropy
  return Linear(), torch.randn(5000, 10), torch.zeros(5000, 10), squared_error


def chain(number, args, draws, threads):
  """A chain by devinterp's sampler, which goes through chains in turn."""
  torch.set_num_threads(threads)
  model, x, y, loss = sgld_problem(args.model)
  examples = [{'input_ids': x_d, 'target': y_d} for x_d, y_d in zip(x, y)]

  def evaluate(model, batch):
    return loss(model, (batch['input_ids'], batch['target'])), {}

  kept = []  # what an estimator would take at each draw
  sample_single_chain(
    model, examples, evaluate, dict.fromkeys(dict(model.named_parameters())),
    num_draws=draws, sampling_method=SGMCMC.sgld, batch_size=args.batch,
    sampling_method_kwargs=dict(lr=1e-6, localization=100.0, nbeta=100.0),
    chain=number, seed=number,
    callbacks=[lambda loss, **rest: kept.append(loss)],
  )  # fmt: skip


def sgld(args):
  """Steps of all chains a second, by devinterp: by threads, or processes."""
  threads = torch.get_num_threads() if args.cores == 1 else 1
  with concurrent.futures.ProcessPoolExecutor(
    args.cores, mp_context=multiprocessing.get_context('spawn')
  ) as pool:

    def run(draws):
      began = time.perf_counter()
      of_draws = functools.partial(
        chain, args=args, draws=draws, threads=threads
      )
      list(pool.map(of_draws, range(args.chains)))
      return time.perf_counter() - began

    # What a longer run takes beyond a short one, without the start.
    short, long = args.steps // 4, args.steps
    run(short)
    seconds = min(run(long) for _ in range(2))
    seconds -= min(run(short) for _ in range(2))
  return args.chains * (long - short) / seconds


def tokens(count):
  """Random sequences [count, 39] and targets, as long as the tasks'."""
  generator = torch.Generator().manual_seed(0)
  text = torch.randint(41, (count, 40), generator=generator)
  return text[:, :-1], text[:, 1:].reshape(-1)


def lanczos(args):
  """Seconds of 30 Lanczos steps on nano, by one of two libraries."""
  torch.manual_seed(0)
  model = GPT()
  x, y = tokens(args.batch)

  def curvlinops():
    import numpy as np
    from curvlinops import HessianLinearOperator
    from scipy.sparse.linalg import eigsh

    operator = HessianLinearOperator(
      model, nn.CrossEntropyLoss(), list(model.parameters()),
      [(x, y)], check_deterministic=False, num_data=1,
      batch_size_fn=lambda x: 1,
    ).to_scipy()  # fmt: skip
    products = 0

    def product(v):
      nonlocal products
      products += 1
      return operator @ v

    from scipy.sparse.linalg import LinearOperator

    counted = LinearOperator(operator.shape, matvec=product, dtype=np.float32)
    began = time.perf_counter()
    # ARPACK's basis of 30 vectors, built once.
    eigsh(counted, k=5, which='LA', ncv=30, maxiter=1, tol=1e30)
    return (time.perf_counter() - began) * 30 / products

  def eigenthings():
    from hessian_eigenthings import HessianOperator, lanczos, supervised_loss

    operator = HessianOperator(
      model, [(x, y)], supervised_loss(nn.CrossEntropyLoss())
    )
    began = time.perf_counter()
    lanczos(operator, k=5, max_iter=30, tol=0.0, which='LA')
    return time.perf_counter() - began

  run = {'curvlinops': curvlinops, 'hessian-eigenthings': eigenthings}
  run[args.library]()
  return min(run[args.library]() for _ in range(2))


def main():
  """Prints {"value": …}."""
  parser = argparse.ArgumentParser()
  parser.add_argument('what', choices=['sgld', 'lanczos'])
  parser.add_argument('--model', choices=['modadd', 'linear'])
  parser.add_argument('--library')
  parser.add_argument('--batch', type=int, default=512)
  parser.add_argument('--chains', type=int, default=4)
  parser.add_argument('--cores', type=int, default=1)
  parser.add_argument('--steps', type=int, default=200)
  args = parser.parse_args()
  value = sgld(args) if args.what == 'sgld' else lanczos(args)
  print(json.dumps({'value': value}))


if __name__ == '__main__':
  main()
