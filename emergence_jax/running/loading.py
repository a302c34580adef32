"""Loads a trained seed of a run."""

import pathlib

import jax

from emergence_jax.base import names
from emergence_jax.base.types import PyTree, UserError
from emergence_jax.config import schema
from emergence_jax.models.protocol import Model
from emergence_jax.running import rundir
from emergence_jax.running.programs import Programs
from emergence_jax.store import checkpoints as checkpoints_lib


def load_params(
  workdir: str | pathlib.Path,
  *,
  step: int | None = None,
  seed: int | None = None,
  arm: str | None = None,
) -> tuple[Model, PyTree]:
  """The model of a run, and a seed's parameters at a saved checkpoint.

  The run may still be going on; nothing is written.

  Args:
    workdir: run directory.
    step: of a saved checkpoint; the newest if absent.
    seed: its number; the first if absent.
    arm: of a run that has arms; the baseline if absent.

  Returns:
    (model, params), for `model.apply(params, tokens_BxT)`.

  Raises:
    UserError: if there is no such run, checkpoint or seed.
  """
  workdir = pathlib.Path(workdir).expanduser()
  raw = rundir.read_config(workdir)
  config = schema.from_mapping(schema.on_this_machine(raw))
  first, count = config.seeds.first, config.seeds.count
  seed = first if seed is None else seed
  if not first <= seed < first + count:
    raise UserError(
      f'{workdir} has no seed {seed}; its seeds are {first} to '
      f'{first + count - 1}.'
    )
  named = [a.name for a in config.arms] or ['']
  arm = named[0] if arm is None else arm
  names.choose('arm', arm, dict.fromkeys(named))
  if not (workdir / checkpoints_lib.FOLDER).is_dir():
    raise UserError(f'{workdir} holds no {checkpoints_lib.FOLDER}/.')
  said: list[str] = []
  with checkpoints_lib.Checkpoints(
    workdir, run=schema.digest(raw), read_only=True
  ) as saved:
    steps = saved.steps()
    wanted = steps[-1] if step is None and steps else step
    like = Programs(config).abstract_population
    population = (
      None if wanted is None else saved.restore(wanted, like, said.append)
    )
  if population is None:
    why = said[0] if said else f'the saved steps are {steps}.'
    raise UserError(f'{workdir} gives no population of step {wanted}: {why}')
  place = named.index(arm) * count + seed - first
  params = jax.tree.map(lambda x: x[place], population.params)
  return config.objective.model, params
