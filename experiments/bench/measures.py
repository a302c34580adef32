"""`bench measures`: SGLD and Lanczos beside PyTorch, and all measures at nano.

Each timing is a process of its own; ours and the peers' alternate.
"""

import json
import sys
import time

from rich import box, console, table

from emergence_jax import mesh
from experiments.bench import peers

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


def _table(title: str, unit: str, rows: dict, ours: str, more_is_better: bool):
  out = table.Table(title=title, box=box.SIMPLE_HEAD, title_justify='left')
  for i, head in enumerate(('', unit, 'ours is faster by')):
    out.add_column(head, justify='right' if i else 'left')
  for name, value in rows.items():
    ratio = rows[ours] / value if more_is_better else value / rows[ours]
    shown = '' if name.startswith('ours') else f'{ratio:.2f}'
    out.add_row(name, f'{value:,.2f}', shown)
  return out


def _sgld(title: str, request: dict, python, cores: int):
  """Steps of all chains a second, ours and devinterp's."""
  rows = {'ours': _ours(what='sgld', chains=_CHAINS, **request)}
  if python:
    # The peer has so much to do between steps that fewer of them will do.
    few = dict(request, steps=max(40, request['steps'] // 10), chains=_CHAINS)
    for name, workers in (
      ('devinterp', 1),
      (f'devinterp, {cores} cores', cores),
    ):
      rows[name] = _theirs(python, 'sgld', cores=workers, **few)
  again = _ours(what='sgld', chains=_CHAINS, **request)
  rows['ours'] = max(rows['ours'], again)
  return _table(title, 'chain-steps/s', rows, 'ours', more_is_better=True)


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
  return _table(_LANCZOS, 'seconds', rows, 'ours', more_is_better=False)


def _nano(screen) -> None:
  """Seconds of every measure at nano, one checkpoint, one seed."""
  found = peers.last_json(
    sys.executable, '-m', 'experiments.bench.ours_measures',
    json.dumps(dict(what='nano')),
  )  # fmt: skip
  out = table.Table(
    title='all measures at nano, one checkpoint of one seed, with the '
    'options of configs/algorithmic.py:nano',
    box=box.SIMPLE_HEAD, title_justify='left',
  )  # fmt: skip
  out.add_column('measure')
  out.add_column('seconds', justify='right')
  for name, seconds in found.items():
    out.add_row(name, f'{seconds:,.2f}')
  out.add_row('all', f'{sum(found.values()):,.1f}')
  screen.print(out)
  screen.print(
    'The paper: 142 s for five of them, on an RTX 3090 Ti. Our LLC is two '
    'estimates of each task.'
  )


def run(folder: str | None, seeds: int, *, with_peers: bool) -> None:
  """Times everything and prints a table for each."""
  del seeds
  python = peers.python(folder) if with_peers else None
  cores = mesh.available_cores()
  screen = console.Console(width=100)
  began = time.monotonic()
  for title, request in _SGLD.items():
    screen.print(_sgld(title, request, python, cores))
  screen.print(_lanczos(python))
  _nano(screen)
  minutes = (time.monotonic() - began) / 60
  screen.print(f'{cores} cores; {minutes:.1f} minutes')
