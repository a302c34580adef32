"""Models: pure functions of parameters that return every layer's output."""

from emergence_jax.models import gpt, gpt_neox

# Name in `config.model.name` → the dataclass of its shape, whose fields are
# the other keys, and whose `build(vocab_size)` is the model. It may have
# `SIZES` (name → values of keys) and `num_weights(vocab_size)`.
MODELS = {'gpt': gpt.GPTConfig, 'gpt_neox': gpt_neox.NeoXConfig}
