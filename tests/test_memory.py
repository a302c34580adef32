"""How much memory there is: a batch system and a container leave less."""

import os

import pytest

from emergence_jax.machine import memory


def _files(root, **content):
  for path, text in content.items():
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.mark.parametrize('files,limit', [
  ({}, None),
  # Version 2: a job of Slurm, within a step that has no limit of its own.
  ({'proc/self/cgroup': '0::/slurm/job_7/step_0\n',
    'sys/fs/cgroup/slurm/job_7/memory.max': '4294967296\n',
    'sys/fs/cgroup/slurm/job_7/step_0/memory.max': 'max\n'}, 4 << 30),
  ({'proc/self/cgroup': '0::/a/b\n', 'sys/fs/cgroup/a/memory.max': '500\n',
    'sys/fs/cgroup/a/b/memory.max': '900\n'}, 500),
  ({'proc/self/cgroup': '0::/a\n', 'sys/fs/cgroup/a/memory.max': 'max'}, None),
  # In a container, whose own group is the root.
  ({'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/memory.max': '800\n'}, 800),
  # Version 1: memory has a tree of its own.
  ({'proc/self/cgroup': '5:cpu,cpuacct:/x\n4:memory:/docker/7\n0::/\n',
    'sys/fs/cgroup/memory/docker/7/memory.limit_in_bytes': '700\n'}, 700),
  # That of another group is none of ours.
  ({'proc/self/cgroup': '0::/a\n', 'sys/fs/cgroup/b/memory.max': '1\n'}, None),
])  # fmt: skip
def test_the_least_limit_of_the_groups(tmp_path, files, limit):
  _files(tmp_path, **files)
  assert memory.limit_of_group(str(tmp_path)) == limit


def test_the_machine_has_no_more_than_its_group(monkeypatch):
  machine = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
  for limit, held in ((None, machine), (2**62, machine), (1000, 1000)):
    monkeypatch.setattr(memory, 'limit_of_group', lambda limit=limit: limit)
    assert memory.available() == held
