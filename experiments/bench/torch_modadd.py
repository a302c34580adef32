"""The PyTorch side of `bench train`: the same decoder on the same pairs.

Runs with PyTorch alone, in the environment that the benchmark makes; prints
one JSON line. The model, the loss and the optimiser are those of
`configs/modadd.py:113`: one block, no LayerNorm, ReLU, and the block computes
the last position only, which is the one that is scored.
"""

import argparse
import json
import math
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap


class Decoder(nn.Module):
  """One-block decoder; logits of the last position."""

  def __init__(self, p, d=128, heads=4, d_ff=512):
    super().__init__()
    self.heads = heads

    def normal(*shape):
      return nn.Parameter(0.088 * torch.randn(*shape))

    self.embed, self.positions = normal(p + 1, d), normal(3, d)
    self.query, self.key_value = normal(d, d), normal(d, 2 * d)
    self.attention_out = normal(d, d)
    self.mlp_in, self.bias_in = normal(d, d_ff), nn.Parameter(torch.zeros(d_ff))
    self.mlp_out, self.bias_out = normal(d_ff, d), nn.Parameter(torch.zeros(d))
    self.unembed = normal(d, p + 1)

  def forward(self, tokens):
    """Tokens [B, 3] → logits [B, p + 1]."""
    n = len(tokens)
    x = self.embed[tokens] + self.positions
    last = x[:, -1]
    q = (last @ self.query).view(n, self.heads, 1, -1)
    kv = (x @ self.key_value).view(n, 3, 2, self.heads, -1)
    k, v = kv.permute(2, 0, 3, 1, 4)
    # The last position sees all; no mask is needed.
    weight = (q @ k.transpose(-1, -2) / math.sqrt(k.shape[-1])).softmax(-1)
    x = last + (weight @ v).reshape(n, -1) @ self.attention_out
    hidden = torch.relu(x @ self.mlp_in + self.bias_in)
    return (x + hidden @ self.mlp_out + self.bias_out) @ self.unembed


def data(seed, p, fraction):
  """A seed's training pairs and sums."""
  pair = torch.cartesian_prod(torch.arange(p), torch.arange(p))
  order = torch.randperm(p * p, generator=torch.Generator().manual_seed(seed))
  pair = pair[order[: int(fraction * p * p)]]
  equals = torch.full((len(pair), 1), p)
  return torch.cat([pair, equals], 1), pair.sum(1) % p


def optimiser(params):
  """AdamW as in the configuration; fused, which is PyTorch's fastest."""
  return torch.optim.AdamW(
    params, lr=1e-3, betas=(0.9, 0.98), weight_decay=1.0, fused=True
  )


def train_one_by_one(args, seeds, barrier=None):
  """Seeds in turn; returns seconds for the timed steps of all."""
  seconds = 0.0
  for seed in seeds:
    torch.manual_seed(seed)
    model = Decoder(args.p)
    forward = torch.compile(model) if args.compile else model
    x, y = data(seed, args.p, args.fraction)
    step_of = optimiser(model.parameters())
    for step in range(args.warm + args.steps):
      if step == args.warm:
        if barrier is not None:
          barrier.wait()
        began = time.perf_counter()
      xb, yb = x, y
      if args.batch:
        pick = torch.randint(len(x), (args.batch,))
        xb, yb = x[pick], y[pick]
      step_of.zero_grad(set_to_none=True)
      F.cross_entropy(forward(xb), yb).backward()
      step_of.step()
    seconds += time.perf_counter() - began
  return seconds


def train_stacked(args, seeds):
  """All seeds in one vmapped step."""
  models = [Decoder(args.p) for _ in seeds]
  params, _ = stack_module_state(models)
  params = {k: v.detach().clone() for k, v in params.items()}
  base = Decoder(args.p).to('meta')
  pairs = [data(s, args.p, args.fraction) for s in seeds]
  x, y = (torch.stack(part) for part in zip(*pairs))

  def loss(params, x, y):
    return F.cross_entropy(functional_call(base, params, (x,)), y)

  gradient = vmap(grad_and_value(loss))
  if args.compile:
    gradient = torch.compile(gradient)
  step_of = optimiser(list(params.values()))
  rows = torch.arange(len(seeds))[:, None]
  for step in range(args.warm + args.steps):
    if step == args.warm:
      began = time.perf_counter()
    xb, yb = x, y
    if args.batch:
      pick = torch.randint(x.shape[1], (len(seeds), args.batch))
      xb, yb = x[rows, pick], y[rows, pick]
    grads, _ = gradient(params, xb, yb)
    for name, value in params.items():
      value.grad = grads[name]
    step_of.step()
  return time.perf_counter() - began


def _worker(args, seeds, barrier, results):
  torch.set_num_threads(1)
  # Seeds after the first need no second start line.
  first = train_one_by_one(args, seeds[:1], barrier)
  results.put(first + train_one_by_one(args, seeds[1:]))


def train_in_processes(args, seeds):
  """One process a core, each with its share of the seeds."""
  import torch.multiprocessing as mp

  context = mp.get_context('spawn')
  workers = min(args.workers, len(seeds))
  barrier, results = context.Barrier(workers), context.Queue()
  shares = [seeds[i::workers] for i in range(workers)]
  processes = [
    context.Process(target=_worker, args=(args, share, barrier, results))
    for share in shares
  ]
  for process in processes:
    process.start()
  seconds = max(results.get() for _ in processes)
  for process in processes:
    process.join()
  return seconds


def main():
  """Prints {"rate": seed-steps per second} of one mode."""
  parser = argparse.ArgumentParser()
  parser.add_argument('--mode', choices=['seq', 'vmap', 'proc'], required=True)
  parser.add_argument('--seeds', type=int, default=4)
  parser.add_argument('--steps', type=int, default=30)
  parser.add_argument('--warm', type=int, default=5)
  parser.add_argument('--p', type=int, default=113)
  parser.add_argument('--fraction', type=float, default=0.3)
  parser.add_argument('--batch', type=int, default=0)
  parser.add_argument('--workers', type=int, default=2)
  parser.add_argument('--compile', action='store_true')
  args = parser.parse_args()
  mode = {
    'seq': train_one_by_one,
    'vmap': train_stacked,
    'proc': train_in_processes,
  }[args.mode]
  seconds = mode(args, list(range(args.seeds)))
  print(json.dumps({'rate': args.seeds * args.steps / seconds}))


if __name__ == '__main__':
  main()
