"""Figures and the summary, from made-up timeseries of known content."""

import matplotlib.image
import numpy as np
import pytest
import xarray as xr

from emergence_jax.base.types import Status
from emergence_jax.report import anatomy, run_figures, summary


def made_up(tasks=8, seeds=3, layers=2, table=False, steps=30):
  """Task k of seed s jumps to accuracy 0.9 at checkpoint 5 + k + s."""
  step = np.arange(steps) * 20
  task, seed = np.arange(tasks), np.arange(seeds)
  jump = 5 + seed[:, None, None] + task
  accuracy = np.where(np.arange(steps)[:, None] >= jump, 0.9, 0.05)
  dims = ('seed', 'step', 'task', 'level')
  levels = 1 if table else 3
  accuracy = np.repeat(accuracy[..., None], levels, -1)
  rng = np.random.default_rng(0)
  data = xr.Dataset(
    {
      'accuracy': (dims, accuracy),
      'chance': (('task', 'level'), np.full((tasks, levels), 0.02)),
      'rankme': (
        ('seed', 'step', 'task', 'layer'),
        2 + rng.random((seeds, steps, tasks, layers)),
      ),
      'train_loss': (
        ('seed', 'train_step'), 1 / (1 + rng.random((seeds, step[-1])))
      ),
      'grad_norm': (('seed', 'train_step'), rng.random((seeds, step[-1]))),
      'status': (('seed', 'step'), np.zeros((seeds, steps), np.int8)),
    },
    coords={
      'seed': seed,
      'step': step,
      'task': [f'T{k}' for k in task],
      'level': [str(i + 1) for i in range(levels)],
      'layer': np.arange(1, layers + 1),
      'train_step': np.arange(step[-1]),
    },
  )  # fmt: skip
  if table:
    data['train_accuracy'] = xr.where(data.step > 40, 1.0, 0.0).broadcast_like(
      data.accuracy
    )
  return data


def cells(text, first):
  line = next(
    line for line in text.splitlines() if line.strip().startswith(first)
  )
  return line.split()


def test_summary_names_every_seeds_step():
  text = summary.text(made_up(tasks=2), 'headline', each=True)
  assert text.startswith('headline')
  # T1 of seed s emerges at checkpoint 6 + s, 20 steps apart.
  assert cells(text, 'T1 · 2')[-5:] == ['3/3', '140', '120', '140', '160']


def test_summary_of_a_table_has_memorising_and_grokking():
  data = made_up(tasks=1, table=True)
  data.accuracy[1] = 0.05  # this seed never generalises
  text = summary.text(data, '', each=True)
  assert cells(text, 'T0 · 1 (training)')[-3:] == ['60', '60', '60']
  assert cells(text, 'T0 · 1  ')[-3:] == ['100', '–', '140']
  assert '2/3' in text


def test_summary_of_many_seeds_gives_the_range():
  data = made_up(tasks=1, seeds=12, table=True)
  text = summary.text(data, '')
  assert 'seed 11' not in text
  assert max(map(len, text.splitlines())) <= 80
  assert cells(text, 'T0 · 1  ')[-1] == '100…320'


def test_summary_names_bad_seeds():
  data = made_up(tasks=1)
  data.status[1, 7:] = Status.NON_FINITE
  words = 'seed 1: 23 of 30 rows are non-finite, the first at step 140.'
  assert words in summary.text(data, '')


def test_summary_without_behaviour():
  text = summary.text(made_up().drop_vars('accuracy'), '')
  assert 'No behaviour was measured' in text


@pytest.mark.parametrize(
  'options', [dict(), dict(tasks=1, table=True, layers=1), dict(seeds=1)]
)
def test_figures_are_drawn(tmp_path, options):
  data = made_up(**options)
  data.rankme[0, 3] = np.nan  # a measure that was not due
  paths = run_figures.draw(data, tmp_path / 'figures')
  assert [p.name for p in paths] == [
    'training.png',
    'accuracy_rankme.png',
    'geometry.png',
  ]
  for path in paths:
    image = matplotlib.image.imread(path)
    assert image.shape[0] > 500 and image.shape[1] > 800
    assert image[..., :3].std() > 0.02, 'blank'


def test_figures_of_a_run_that_has_just_begun(tmp_path):
  data = made_up().isel(step=slice(1), train_step=slice(0))
  paths = run_figures.draw(data, tmp_path)
  assert [p.name for p in paths] == ['accuracy_rankme.png', 'geometry.png']


def test_legends_hide_no_curve():
  """They lie beside their panels, and inside of the figure."""
  figure = anatomy.figure('made up', made_up(tasks=1, layers=6), 'T0')
  figure.canvas.draw()
  legends = [a for a in figure.axes if a.get_legend()]
  assert legends
  for axis in legends:
    box = axis.get_legend().get_window_extent()
    assert box.x0 >= axis.get_window_extent().x1
    assert box.x1 <= figure.bbox.x1 and box.y0 >= 0


def test_an_anatomy_shows_values_that_grow_by_factors():
  """Beside estimates that are not ok, and small; the axis fits the others."""
  data = made_up(tasks=2, layers=1)
  step = data.step.values.astype(float)
  grows = np.broadcast_to(10 ** (1 + step / 200), (3, 30)).copy()
  status = np.zeros((3, 30), np.int8)
  grows[:, 0], status[:, 0] = 1e-3, Status.NOT_CONVERGED
  dims = ('seed', 'step')
  data = data.assign(
    hessian_eigenvalues=((*dims, 'hessian_index'), grows[..., None]),
    hessian_status=(dims, status),
  )
  figure = anatomy.figure('made up', data, 'T0')
  name = 'largest Hessian eigenvalue (nat / parameter²)'
  (axis,) = (a for a in figure.axes if a.get_title('left') == name)
  low, high = axis.get_ylim()
  assert axis.get_yscale() == 'log' and low > 0
  drawn = np.log10([grows[0, 1], grows[0, -1]])
  assert np.ptp(drawn) > 0.7 * np.log10(high / low)
