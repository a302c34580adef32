"""What runs are set beside: claims, groups, and our side of each."""

import dataclasses

import numpy as np
import pytest
import xarray as xr

from emergence_jax.analysis import order, published, studies, study
from emergence_jax.analysis.paper import algorithmic, pythia, rates
from emergence_jax.analysis.paper.algorithmic import ALGORITHMIC
from emergence_jax.analysis.paper.pythia import PYTHIA
from emergence_jax.analysis.runs import Run
from emergence_jax.analysis.studies import REFERENCES
from emergence_jax.base.types import UserError
from emergence_jax.config.presets import algorithmic as algorithmic_config
from emergence_jax.config.presets import modadd
from emergence_jax.config.presets import pythia as pythia_config
from emergence_jax.report import study_figures
from tests.test_findings import with_more
from tests.test_study import as_run


def whole(**options):
  """A run with all that a claim is about."""
  data = with_more(**options)
  rng = np.random.default_rng(1)
  walk = rng.normal(size=(data.sizes['seed'], data.sizes['step'])).cumsum(1)
  curve = np.exp(0.05 * walk)
  early = data.accuracy.isel(level=0, drop=True).shift(step=-10, fill_value=1)
  early = early.expand_dims(target=['answer'], layer=data.layer)
  return data.assign(
    gradcov_rank=(('seed', 'step'), curve),
    hessian_eigenvalues=(
      ('seed', 'step', 'hessian_index'), curve[..., None]
    ),
    probe_accuracy=early,
    probe_chance=0.1 + 0 * early.isel(layer=0, drop=True),
  )  # fmt: skip


def findings_of(reference, found):
  changes, precursors = order.find(found), rates.find(found)
  return study.findings_of(reference, found, changes, precursors, 50)


def test_every_claim_of_the_eight_tasks_has_a_finding():
  sizes = ('nano', 'micro', 'small', 'medium')
  found = {size: as_run(size, whole(lead=60)) for size in sizes}
  keys = findings_of(ALGORITHMIC, found).keys()
  assert keys == {claim.key for claim in ALGORITHMIC.claims}


STEPS = np.array(
  [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, *range(1000, 144_000, 3000)]
)


def released(size='2.8b', seeds=4, low=64, lead=40_000):
  """A made-up release: RankMe falls to a third at `low`, and rises again.

  Its end orders the sets as the paper has it; the logical one leads.
  """
  rng = np.random.default_rng(0)
  sets = [*pythia.FINAL_ORDER, 'logic']
  shape = (seeds, len(STEPS), len(sets))
  end = np.linspace(30, 15, len(sets))
  at = (
    np.linspace(60_000, 120_000, len(sets)) + 3000 * np.arange(seeds)[:, None]
  )
  step = STEPS[:, None].astype(float)
  early = np.interp(np.log1p(STEPS), np.log1p([0, low, 1000]), [30, 10, 12])
  rise = 1 / (1 + np.exp(-(step - (at[:, None] - lead)) / 1500))
  rank = early[:, None] + (end - 12) * rise
  accuracy = 0.3 + 0.6 / (1 + np.exp(-(step - at[:, None]) / 1500))
  rank = rank + 0.02 * rng.normal(size=shape)
  accuracy = accuracy + 0.005 * rng.normal(size=shape)
  dims = ('seed', 'step', 'task')
  data = xr.Dataset(
    {
      'accuracy': ((*dims, 'level'), accuracy[..., None]),
      'log_prob': ((*dims, 'level'), np.log(accuracy)[..., None]),
      'chance': (('task', 'level'), np.full((len(sets), 1), 0.25)),
      'rankme': ((*dims, 'layer'), rank[..., None]),
      'status': (('seed', 'step'), np.zeros(shape[:2], np.int8)),
    },
    coords={
      'seed': np.arange(seeds), 'step': STEPS, 'task': sets, 'level': ['1'],
      'layer': [1],
    },
  )  # fmt: skip
  config = {
    **pythia_config.get_config(size).to_dict(),
    'model': {
      'size': f'pythia-{size}',
      'parameters': pythia.num_parameters(size),
    },
    'train': {'steps': int(STEPS[-1])},
  }
  reference = studies.reference_of(config)
  return Run(
    f'pythia-{size}', data, config, reference=reference,
    deviations=tuple(reference.deviations(config)),
  )  # fmt: skip


def test_every_claim_about_pythia_has_the_planted_finding():
  run = released()
  assert run.reference is PYTHIA and run.deviations == ()
  found = findings_of(PYTHIA, {run.label: run})
  assert found.keys() == {claim.key for claim in PYTHIA.claims}
  value = {key: one.estimate.value for key, one in found.items()}
  np.testing.assert_allclose(value['pythia collapse'], 2 / 3, atol=0.02)
  assert value['pythia collapse time'] == 1 and value['pythia order'] == 1
  np.testing.assert_allclose(value['pythia lead'], 40_000, rtol=0.1)
  assert value['pythia precursor'] > 0.5
  table = study.study({run.label: run}, draws=50).tables['claims']
  verdicts = dict(zip(table.claim, table.verdict))
  assert verdicts['RankMe collapses early in training'] == 'reproduced'
  late = findings_of(PYTHIA, {'x': released(low=700)})
  assert late['pythia collapse time'].estimate.value == 0


def test_a_model_that_is_not_pythia_decides_nothing():
  config = pythia_config.get_config('160m').to_dict()
  assert pythia.num_parameters('410m') == 405_334_016
  assert pythia.num_parameters('2.8b') == 2_775_208_960
  config['model'] = {'size': 'pythia-160m', 'parameters': 5}
  assert '5 parameters' in PYTHIA.deviations(config)[0]
  config['model'] = {'size': 'mine'}
  assert 'none of the paper' in PYTHIA.deviations(config)[0]
  config['model'] = {'size': 'pythia-160m-seed3', 'parameters': 162_322_944}
  assert PYTHIA.deviations(config) == []
  config['release']['sets'] = 'facts'
  assert 'without the sets agreement' in PYTHIA.deviations(config)[0]


def test_configurations_name_their_study():
  of = studies.reference_of
  assert of(algorithmic_config.get_config('nano').to_dict()) is ALGORITHMIC
  assert of(modadd.get_config().to_dict()) is None
  # Configurations of older versions name none.
  assert of({'task': {'name': 'algorithmic'}}) is ALGORITHMIC
  assert of({'task': {'name': 'probe_sets'}}) is PYTHIA
  assert of({'task': {'name': 'modadd'}}) is None and of({}) is None
  assert (
    of({'task': {'name': 'algorithmic'}, 'reference': {'name': ''}}) is None
  )
  assert of({'reference': {'name': 'tests.test_references:MINE'}}) is MINE
  with pytest.raises(UserError, match="config.reference.name='pythai'"):
    of({'reference': {'name': 'pythai'}})


MINE = REFERENCES['algorithmic']


def test_keys_and_groups():
  for reference in REFERENCES.values():
    keys = [claim.key for claim in reference.claims]
    assert len(set(keys)) == len(keys)
    assert all(claim.low < claim.high for claim in reference.claims)
  assert ALGORITHMIC.group('MUL') == 'hard' and PYTHIA.group('MUL') == 'other'
  assert algorithmic.spacing(12_000) == 500


def test_published_accuracies_are_another_axis():
  """Leads over benchmarks, of the planted change; of seed 0 alone."""
  run = released(size='410m')
  # A measure that steps up at 512, on a schedule with the published steps.
  step = run.data.step.values
  data = run.data.assign_coords(step=step)
  data['rankme'] = data.rankme.copy(data=np.broadcast_to(
    np.where(step >= 512, 9.0, 3.0)[:, None, None], data.rankme.shape
  ))  # fmt: skip
  run = dataclasses.replace(run, data=data)
  table = published.leads_table({run.label: run}).set_index('benchmark')
  assert len(table) == 8 and set(table.measure) == {'RankMe'}
  # Between the checkpoints before it and behind it.
  assert (table['largest change of it'] == 384).all()
  sciq = table.loc['sciq']
  assert sciq['emerged at'] >= 1000 and sciq.lead_steps > 0
  assert sciq.lead_steps == sciq['largest change of accuracy'] - 384
  # What never leaves chance has no lead that counts.
  assert np.isnan(table.loc['wsc', 'emerged at'])
  other = dataclasses.replace(run, data=data.sel(seed=[1, 2]))
  assert not len(published.leads_table({'x': other}))
  found = study.study({run.label: run}, draws=20)
  assert len(found.tables['published']) == 8
  moving = released(size='410m')
  both = study.study({moving.label: moving}, draws=20)
  axes = set(both.tables['precursors'].axis)
  assert 'checkpoints 1,000 to 142,000' in axes
  title = f'Leads: {run.label} and benchmarks'
  figure = study_figures.makers(found, {run.label: run})[title].make()
  assert len(figure.axes) == 2
