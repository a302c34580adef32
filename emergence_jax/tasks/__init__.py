"""Tasks: where sequences come from, and what counts as an answer."""

from emergence_jax.tasks import algorithmic, modular, tables

# Name in `config.task.name` → constructor; its arguments are the options.
TASKS = {
  'algorithmic': algorithmic.AlgorithmicTask,
  'modadd': modular.ModularAddition,
  'sparse_parity': tables.SparseParity,
  'digits': tables.Digits,
}
