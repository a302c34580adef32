"""Compiling what a user calls by itself."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np

_Function = TypeVar('_Function', bound=Callable[..., Any])


def _is_array(leaf: Any) -> bool:
  """Whether a leaf is an array with values, and no number or function."""
  held = isinstance(leaf, (jax.Array, np.ndarray))
  return held and not isinstance(leaf, jax.core.Tracer)


def _can_be_compiled(arrays: Any, others: dict[str, Any]) -> bool:
  leaves = jax.tree.leaves(arrays)
  if not leaves or not all(map(_is_array, leaves)):
    return False
  try:
    hash(tuple(others.values()))
  except TypeError:
    return False
  return True


def compiled(*arrays: str) -> Callable[[_Function], _Function]:
  """Compiles a function where it is called with values, and once for all.

  Called from what is being compiled, by vmap or by `jax.grad`, it is as if
  nothing stood around it; so it is where an argument cannot be compiled for.

  Args:
    *arrays: names of the arguments that are pytrees of arrays; the program is
      for the values of the others.
  """

  def wrap(function: _Function) -> _Function:
    signature = inspect.signature(function)
    static = [name for name in signature.parameters if name not in arrays]
    program = jax.jit(function, static_argnames=static)

    @functools.wraps(function)
    def call(*args, **options):
      try:
        given = signature.bind(*args, **options)
      except TypeError:
        return function(*args, **options)  # which says what is wrong
      values = given.arguments
      dynamic = [values[name] for name in arrays if name in values]
      others = {name: values[name] for name in static if name in values}
      if _can_be_compiled(dynamic, others):
        return program(*args, **options)
      return function(*args, **options)

    return call  # type: ignore[return-value]

  return wrap
