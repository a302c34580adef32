"""`bench train`: seeds × steps per second, ours, PyTorch's and the limit."""

import json
import shutil
import sys

from emergence_jax.machine import mesh
from experiments.bench import peers
from experiments.bench.formatting import Table

_REPEATS = 3
_WORKLOADS = {
  'mod-113, full batch': dict(
    config=('configs.modadd', '113'), overrides={}, steps=20
  ),
  'mod-113, batch 256': dict(
    config=('configs.modadd', '113'),
    overrides={'task': {'batch_size': 256}},
    steps=200,
  ),
  'mod-31 (default job)': dict(
    config=('configs.modadd', '31'), overrides={}, steps=200
  ),
  'nano': dict(config=('configs.algorithmic', 'nano'), overrides={}, steps=10),
}
# The peer writes the first two; batch and timed steps.
_PEER = {'mod-113, full batch': (0, 20), 'mod-113, batch 256': (256, 150)}


def _layouts(cores: int, seeds: int) -> dict[str, tuple[int, int]]:
  """Name → devices, seeds at once on a device (0: all)."""
  layouts = {'vmap': (1, 0), 'map': (1, 1), 'map in pairs': (1, 2)}
  spread = mesh.largest_divisor(seeds, cores)
  if spread > 1:
    layouts[f'{spread} devices, map'] = (spread, 1)
    if seeds // spread > 1:
      layouts[f'{spread} devices, vmap'] = (spread, seeds // spread)
  return layouts


def matmul_peak(side: int = 2048, dtype: str = 'float32') -> float:
  """Floating-point operations a second of a large product, on all cores.

  Measured in a process of its own, by the same library that trains; float32
  means float32, as it does in training.
  """
  rounded = dtype == 'tensorfloat32'
  precision = dtype if rounded else 'highest'
  dtype = 'float32' if rounded else dtype
  code = (
    'import time, json, jax, jax.numpy as jnp\n'
    f'a = jnp.ones(({side}, {side}), jnp.{dtype})\n'
    f'f = jax.jit(lambda a: jnp.matmul(a, a, precision="{precision}"))\n'
    'f(a).block_until_ready()\n'
    'best = 0.0\n'
    'for _ in range(10):\n'
    '  t = time.perf_counter(); f(a).block_until_ready()\n'
    f'  best = max(best, 2 * {side}**3 / (time.perf_counter() - t))\n'
    'print(json.dumps({"peak": best}))\n'
  )
  return peers.last_json(sys.executable, '-c', code)['peak']


def ours(**request) -> dict:
  """Our rate of a workload in a layout; see `experiments.bench.ours`."""
  return peers.last_json(
    sys.executable, '-m', 'experiments.bench.ours', json.dumps(request)
  )


def _peer_modes() -> dict[str, list[str]]:
  modes = {
    'torch, in turn': ['--mode=seq'],
    'torch, vmap': ['--mode=vmap'],
    'torch, a process a core': ['--mode=proc'],
  }
  if shutil.which('g++'):  # what torch.compile needs on a CPU
    modes['torch, vmap compiled'] = ['--mode=vmap', '--compile']
  return modes


def _peer(python, mode: list[str], name: str, seeds: int, cores: int) -> float:
  batch, steps = _PEER[name]
  return peers.last_json(
    python,
    peers.HERE / 'torch_modadd.py',
    *mode,
    f'--seeds={seeds}',
    f'--batch={batch}',
    f'--steps={steps}',
    f'--workers={cores}',
  )['rate']


def _measure(name: str, seeds: int, python, cores: int):
  """Rates of one workload: name → best of the repeats; and what was counted."""
  rates, result = {}, {}
  for layout, (devices, at_once) in _layouts(cores, seeds).items():
    result = ours(
      **_WORKLOADS[name], seeds=seeds, devices=devices, at_once=at_once,
      repeats=_REPEATS,
    )  # fmt: skip
    rates[layout] = result['rate']
  if python and name in _PEER:
    for mode, options in _peer_modes().items():
      # Twice, so that no side has the better moment of a noisy machine.
      pair = [_peer(python, options, name, seeds, cores) for _ in range(2)]
      rates[mode] = max(pair)
  return rates, result


def _table(name: str, rates: dict, results: dict, peak: float) -> Table:
  flops, plain = results['flops'], results['plain_flops']
  limit = peak / flops
  best = max(v for k, v in rates.items() if not k.startswith('torch'))
  rows = [
    [
      key, rate, f'{rate / limit:.0%}',
      best / rate if key.startswith('torch') else None,
    ]
    for key, rate in sorted(rates.items(), key=lambda kv: -kv[1])
  ]  # fmt: skip
  rows.append(['limit of our operations', limit, '100%', best / limit])
  if plain > 1.01 * flops:
    rows.append([
      'limit where nothing is looked up', peak / plain, f'{flops / plain:.0%}',
      best * plain / peak,
    ])  # fmt: skip
  return Table(
    f'{name}: {flops / 1e9:.3f} GFLOP a seed-step of ours',
    ['layout', 'seed-steps/s', 'of our limit', 'our best is faster by'],
    rows,
  )


def run(folder: str | None, seeds: int, *, with_peers: bool) -> list[Table]:
  """Times all workloads."""
  python = peers.python(folder) if with_peers else None
  cores = mesh.available_cores()
  peak = matmul_peak()
  tables = []
  for name in _WORKLOADS:
    rates, results = _measure(name, seeds, python, cores)
    tables.append(_table(name, rates, results, peak))
  note = (
    f'{seeds} seeds, warm, best of {_REPEATS}. A limit is the rate at which a '
    f'large matrix product would do the operations that XLA counts in a step: '
    f'{peak / 1e9:.0f} GFLOP/s here, float32. Where nothing is looked up, keys '
    'and values of the first block are computed for every sequence, as the '
    'peer does.'
  )
  return [*tables[:-1], Table(**{**vars(tables[-1]), 'notes': [note]})]
