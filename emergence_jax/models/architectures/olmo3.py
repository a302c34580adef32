"""OLMo 3: three layers of four have a window. arXiv:2512.13961."""

from emergence_jax.models.architectures import llama, olmo2, rope
from emergence_jax.models.decoder import DecoderShape, Layer
from emergence_jax.models.description import Description
from emergence_jax.models.rotary import Rotary

LAYOUT = olmo2.LAYOUT
_BASE = 500_000.0


def _rotaries(d: Description, head: int, longest: int) -> dict[str, Rotary]:
  """Kind of layer → its rotary positions; what stretches is of full ones."""
  nested = d.group('rope_parameters')
  if nested is None:
    # Where it is said once, releases and their readers do not agree of which
    # layers the base is.
    d.only('rope_theta', _BASE, int(_BASE))
    full = rope.read(d, head, longest=longest, base=_BASE)
    return {llama.FULL: full, llama.SLIDING: Rotary(full.size, _BASE)}
  d.only('rope_scaling', None)
  d.only('rope_theta', _BASE, int(_BASE), None)
  rotaries = {}
  for kind in (llama.FULL, llama.SLIDING):
    group = nested.group(kind)
    plain = Rotary(head - head % 2, _BASE)
    rotaries[kind] = plain
    if group is not None:
      rotaries[kind] = rope.of_group(group, plain, longest)
  nested.finish()
  return rotaries


def shape(d: Description) -> DecoderShape:
  """The shape that a description says."""
  keys = olmo2.common(d)
  count = llama.num_layers(d)
  window = d.integer('sliding_window', 4096)
  kinds = [llama.FULL if i % 4 == 3 else llama.SLIDING for i in range(count)]
  rotaries = _rotaries(d, llama.head_of(keys), keys['num_positions'])
  layers = tuple(
    Layer(rotaries[llama.SLIDING if own else llama.FULL], own)
    for own in llama.windows(d, kinds, window)
  )
  return DecoderShape(**keys, layers=layers)
