"""A run from a Python session."""

import pytest

import emergence_jax as ej
from emergence_jax.base.types import UserError
from emergence_jax.cli import session
from emergence_jax.running import loop
from emergence_jax.store import timeseries
from tests import small


def test_it_returns_the_dataset(tmp_path, capsys):
  data = ej.run(small.modadd_config(), tmp_path, train__steps=4)
  assert data.step.values[-1] == 4 and data.identical(timeseries.load(tmp_path))
  said = capsys.readouterr().out
  assert '\x1b' not in said and f'wrote {tmp_path / "report"}' in said
  assert (tmp_path / 'report' / 'report.html').exists()
  # The same call goes on with what is there.
  longer = {'report': False, 'train__steps': 6}
  assert ej.run(small.modadd_config(), tmp_path, **longer).step[-1] == 6


def test_errors_name_the_key_and_the_remedy(tmp_path, monkeypatch):
  with pytest.raises(UserError, match="did you mean 'rate'"):
    ej.run('modadd', tmp_path, optimizer__lr=1e-3)
  monkeypatch.setattr(loop, 'run', lambda *a, **k: loop.Outcome.STOPPED)
  with pytest.raises(UserError, match='was interrupted; call run'):
    session.run(small.modadd_config(), tmp_path)
