"""Audits of suites: each planted fault is found, and clean ones are not."""

import json
import pathlib
import shutil

import numpy as np
import pytest
import safetensors.numpy

from emergence_jax.analysis import histories
from emergence_jax.analysis.histories import Sketch
from emergence_jax.report import audit as report
from emergence_jax.running import auditing
from emergence_jax.running.sources import folders, hub, suites
from tests import apps, hub_server, release, tiers

STEPS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, *range(1000, 9000, 1000))


def history(rng, steps=STEPS, shards=2, bits=np.float32):
  """A made-up training: a walk from random weights, ever slower or not."""
  names = [f'layer{i}.weight' for i in range(6)]
  weights = {n: rng.normal(size=(24, 16)) / 4 for n in names}
  fixed = {'rotary.inv_freq': np.arange(300.0), 'norm.weight': np.ones(300)}
  drift = {n: rng.normal(size=(24, 16)) for n in names}
  pace, noise = rng.uniform(0.002, 0.2), rng.uniform(0, 0.3)
  power = rng.uniform(0.3, 0.7)
  made, before = {}, 0
  for step in steps:
    moved = step**power - before**power
    for n in names:
      kick = rng.normal(size=(24, 16)) * noise
      weights[n] = weights[n] + pace * moved / 10 * (drift[n] + kick)
      weights[n] *= 1 - rng.uniform(0, 1e-3) * (step > before)
    before = step
    made[step] = sketch({**weights, **fixed}, shards, bits)
  return made


def sketch(weights, shards=2, bits=np.float32, note=''):
  arrays = {n: v.astype(bits).astype(np.float64) for n, v in weights.items()}
  files = {
    f'model-{i}.safetensors': dict(list(sorted(arrays.items()))[i::shards])
    for i in range(shards)
  }
  marks = {f: str(hash(str(some) + note)) for f, some in files.items()}
  for some in files.values():
    for value in some.values():
      marks = {f: m + str(value.tobytes().__hash__()) for f, m in marks.items()}
  return Sketch(marks, files, 'a model')


def wrong(suite, final=None):
  return [f for f in histories.check(suite, final) if f.is_wrong]


@pytest.mark.parametrize(
  'count', [8, pytest.param(400, marks=pytest.mark.nightly)]
)
def test_clean_histories_are_not_accused(count):
  """Of walks of any pace, in 32 and in 16 bits; `main` is the last of them."""
  rng = np.random.default_rng(0)
  for case in range(count // 2):
    bits = np.float32 if case % 2 else np.float16
    suite = {seed: history(rng, bits=bits) for seed in range(2)}
    final = {seed: made[STEPS[-1]] for seed, made in suite.items()}
    assert not histories.check(suite, final)


def plant(kind, suite, rng):
  """Makes something wrong; returns (seed, step) of it."""
  made = suite[0]
  if kind == 'the final weights':
    made[64] = made[STEPS[-1]]
    return 64
  if kind == 'two the same':
    made[128] = made[32]
    return 32
  if kind == 'the same in another file':
    same = sketch(made[512].values, note='again')
    made[16] = same
    return 16
  if kind == 'a shard of another':
    file = 'model-1.safetensors'
    tensors = {**made[256].tensors, file: made[3000].tensors[file]}
    marks = {**made[256].files, file: made[3000].files[file]}
    made[256] = Sketch(marks, tensors, 'a model')
    return 256
  if kind == 'a tensor of another':
    values = {**made[256].values}
    values['layer3.weight'] = made[3000].values['layer3.weight']
    made[256] = sketch(values)
    return 256
  if kind == 'other weights':
    made[4000] = history(rng, (0,))[0]
    return 4000
  if kind == 'another description':
    made[512] = Sketch(made[512].files, made[512].tensors, 'another model')
    return 512
  if kind == 'no weights':
    made[512] = Sketch(problem='model-2.safetensors lacks')
    return 512
  if kind == 'first weights of another seed':
    made[0], suite[1][0] = suite[1][0], made[0]
    return 1
  assert kind == 'first weights of nobody'
  made[0] = history(rng, (0,))[0]
  return 1


KINDS = {
  'the final weights': 'repeat', 'two the same': 'repeat',
  'the same in another file': 'repeat', 'a shard of another': 'repeat',
  'a tensor of another': 'repeat', 'other weights': 'off the path',
  'another description': 'description', 'no weights': 'missing',
  'first weights of another seed': 'origin',
  'first weights of nobody': 'origin',
}  # fmt: skip


@pytest.mark.parametrize(
  'times', [1, pytest.param(20, marks=pytest.mark.nightly)]
)
@pytest.mark.parametrize('kind', tiers.some(KINDS, 2, 5, 8))
def test_each_planted_fault_is_found(kind, times):
  rng = np.random.default_rng(1)
  for _ in range(times):
    suite = {seed: history(rng) for seed in range(2)}
    final = {seed: made[STEPS[-1]] for seed, made in suite.items()}
    step = plant(kind, suite, rng)
    found = wrong(suite, final)
    assert (KINDS[kind], 0, step) in {(f.kind, f.seed, f.step) for f in found}
    # And little else is.
    assert len({(f.seed, f.step) for f in found}) <= 3


def test_most_revisions_may_be_repeats():
  rng = np.random.default_rng(2)
  made = history(rng, range(0, 154))
  for step in range(70, 146):
    made[step] = made[153]
  found = wrong({0: made}, {0: made[153]})
  assert [f.step for f in found] == list(range(70, 146))
  assert 'its weights are those of main' in found[0].words


@pytest.mark.parametrize(
  'steps,lost',
  [
    (STEPS, []),
    ([0, 10, 20, 40, 50, 60], [40]),
    ([0, 10, 20, 60, 70, 80], [60]),
    ([0, 100, 200, 300, 1000, 2000], []),
  ],
)
def test_gaps_are_said_and_not_wrong(steps, lost):
  rng = np.random.default_rng(3)
  found = histories.check({0: history(rng, steps)})
  assert [f.step for f in found] == lost
  assert not any(f.is_wrong for f in found)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  """Two seeds on the disk, whose second revision is planted."""
  folder = tmp_path_factory.mktemp('suite')
  release.train(folder, [1, 2], [0, 1, 2, 3, 4])
  for seed in (1, 2):
    one = folder / f'tiny-seed{seed}'
    shutil.copytree(one / 'step4', one / 'main')
  weights = folder / 'tiny-seed1' / 'step1' / 'model.safetensors'
  tensors = safetensors.numpy.load_file(weights)
  for value in tensors.values():
    rng = np.random.default_rng(value.size)
    value[...] = rng.normal(size=value.shape)
  safetensors.numpy.save_file(tensors, weights)
  shutil.copy(
    folder / 'tiny-seed2' / 'step4' / 'model.safetensors',
    folder / 'tiny-seed2' / 'step2' / 'model.safetensors',
  )
  return folder


EXPECTED = {
  ('off the path', 1, 1), ('repeat', 2, 2),
}  # fmt: skip


def found_in(suite):
  audit = auditing.audit(suite, lambda line: None)
  return {(f.kind, f.seed, f.step) for f in audit.faults if f.is_wrong}


def test_a_folder_is_audited(root):
  assert found_in(folders.find(root)) >= EXPECTED


def test_the_hub_is_audited_by_parts_of_files(root, tmp_path, monkeypatch):
  with hub_server.library(root, tmp_path, monkeypatch) as asked:
    suite = hub.find('org/tiny-seed1,org/tiny-seed2')
    assert set(suite.final) == {1, 2}
    assert found_in(suite) >= EXPECTED
    whole = [r for r in asked if r.startswith('GET') and 'safetensors' in r]
  weights = root / 'tiny-seed1' / 'step0' / 'model.safetensors'
  assert whole and max(asked.served) < weights.stat().st_size / 2
  assert not list(tmp_path.rglob('*.safetensors'))


def publish(folder: pathlib.Path, made: Sketch) -> None:
  """Writes what is looked at of a revision as a release of two shards."""
  release.describe(folder)
  weight_map = {}
  for file, tensors in made.tensors.items():
    arrays = {n: v.astype(np.float32) for n, v in tensors.items()}
    safetensors.numpy.save_file(arrays, folder / file)
    weight_map |= dict.fromkeys(arrays, file)
  index = json.dumps({'weight_map': weight_map})
  (folder / 'model.safetensors.index.json').write_text(index, encoding='utf-8')


@pytest.mark.nightly
def test_known_defects_of_published_suites(tmp_path, monkeypatch):
  """On a hub: each is found, and in its seeds nothing else."""
  rng = np.random.default_rng(4)
  hub_root = tmp_path / 'hub'
  long = history(rng, range(0, 154))
  for step in range(70, 146):
    long[step] = long[153]
  same = history(rng, STEPS)
  same[2] = same[1] = same[4]
  shard = history(rng, STEPS)
  plant('a shard of another', {0: shard}, rng)
  lost = history(rng, STEPS)
  plant('first weights of nobody', {0: lost}, rng)
  suites_of = {
    'long': long, 'same': same, 'shard': shard, 'lost': lost,
    'clean': history(rng, STEPS),
  }  # fmt: skip
  for name, made in suites_of.items():
    for step, one in made.items():
      publish(hub_root / name / f'step{step}', one)
    publish(hub_root / name / 'main', made[max(made)])
  wanted = {
    'long': {('repeat', step) for step in range(70, 146)},
    'same': {('repeat', 1), ('repeat', 2)},
    'shard': {('repeat', 256)},
    'lost': {('origin', 1)},
    'clean': set(),
  }
  with hub_server.library(hub_root, tmp_path / 'cache', monkeypatch):
    for name, faults in wanted.items():
      found = found_in(hub.find(f'org/{name}'))
      assert {(kind, step) for kind, _, step in found} == faults, name


@pytest.mark.nightly
def test_the_app_says_what_is_wrong(root, tmp_path):
  done = apps.call('audit', root, f'--out={tmp_path}')
  assert done.returncode == 1, done.stderr
  assert 'repeat, tiny-seed2, step 2: its weights are those of' in done.stdout
  assert (tmp_path / 'audit.png').stat().st_size > 10_000
  text = (tmp_path / 'audit.csv').read_text(encoding='utf-8')
  assert text.startswith(','.join(report.COLUMNS))
  clean = tmp_path / 'clean'
  for step in (0, 2, 3, 4):
    shutil.copytree(root / 'tiny-seed1' / f'step{step}', clean / f'step{step}')
  done = apps.call('audit', clean)
  assert done.returncode == 0, done.stdout
  assert 'Nothing is wrong' in done.stdout
  done = apps.call('audit', tmp_path / 'nowhere')
  assert done.returncode == 1 and 'no folder' in done.stderr


def test_damage_is_named(root, tmp_path):
  one = tmp_path / 'tiny'
  for step in (0, 2, 3, 4):
    shutil.copytree(root / 'tiny-seed1' / f'step{step}', one / f'step{step}')
  weights = one / 'step2' / 'model.safetensors'
  weights.write_bytes(weights.read_bytes()[:2000])
  raw = json.loads((one / 'step3' / 'config.json').read_text())
  text = json.dumps({**raw, 'rotary_pct': 1.0})
  (one / 'step3' / 'config.json').write_text(text, encoding='utf-8')
  found = found_in(folders.find(one))
  assert ('missing', 0, 2) in found and ('description', 0, 3) in found


def test_a_suite_has_its_final_branch(root: pathlib.Path):
  suite = folders.find(root)
  assert set(suite.final) == {1, 2}
  assert str(suite.final[1]).endswith(suites.MAIN)
