"""What tells runs from one another."""

import dataclasses
import pathlib

import pytest

from emergence_jax.analysis import runs
from emergence_jax.base import labels


def made(*configs, own='mod 31'):
  return [
    runs.Run(own, None, config, pathlib.Path(f'folder{i}'))
    for i, config in enumerate(configs)
  ]


def labels_of(items):
  return [run.label for run in runs._labelled(items)]


def of(**optimizer):
  return {'optimizer': optimizer, 'seeds': {'first': 0, 'count': 4}}


def test_keys_that_differ_are_the_labels():
  wanted = ['rate 1e-3', 'rate 2e-3', 'rate 0.01']
  items = made(
    of(rate=1e-3, b1=0.9), of(rate=2e-3, b1=0.9), of(rate=0.01, b1=0.9)
  )
  assert labels_of(items) == wanted
  # Beside a run of another kind they say of which kind they are.
  (other,) = made(of(rate=1.0), own='nano')
  assert labels_of([*items, other]) == [f'mod 31, {w}' for w in wanted] + [
    'nano'
  ]


@pytest.mark.parametrize('change,words', [
  ({'seeds': {'first': 4, 'count': 4}}, ['seeds 0 to 3', 'seeds 4 to 7']),
  ({'seeds': {'first': 4, 'count': 1}}, ['seeds 0 to 3', 'seed 4']),
  # Of another version, which says more; and of seeds that both have.
  ({'measures': {'rank': {'every': 2}}, 'train': {'precision': 'x'}},
   ['mod 31 (folder0)', 'mod 31 (folder1)']),
  ({'seeds': {'first': 2, 'count': 4}},
   ['mod 31 (folder0)', 'mod 31 (folder1)']),
  ({}, ['mod 31 (folder0)', 'mod 31 (folder1)']),
])  # fmt: skip
def test_what_else_tells_them_apart(change, words):
  said = labels_of(made(of(rate=1e-3), {**of(rate=1e-3), **change}))
  assert said == words


def test_a_folder_of_the_same_name_adds_nothing():
  items = made(of(rate=1), of(rate=1), own='nano')
  items[0] = dataclasses.replace(items[0], workdir=pathlib.Path('nano'))
  assert labels_of(items) == ['nano', 'nano (folder1)']


def test_labels_that_are_unlike_stay():
  items = made(of(rate=1), of(rate=2))
  named = [dataclasses.replace(run, label=n) for run, n in zip(items, 'ab')]
  assert labels_of(named) == ['a', 'b']


def test_no_two_are_the_same():
  items = made(*[of(rate=1e-3)] * 3)
  items = [dataclasses.replace(run, workdir=pathlib.Path('x')) for run in items]
  assert len(set(labels_of(items))) == 3


def test_what_is_trained_comes_before_what_is_looked_at():
  configs = [of(rate=1), {**of(rate=2), 'measures': {'rank': {}}}]
  assert list(labels.differing(configs)) == ['optimizer.rate']
