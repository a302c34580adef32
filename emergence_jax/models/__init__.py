"""Models: pure functions of parameters that return every layer's output."""

from emergence_jax.models import gpt, gpt_neox, network
from emergence_jax.models.protocol import ModelShape

# Name in `config.model.name` → its shape, whose fields are the other keys.
MODELS: dict[str, type[ModelShape]] = {
  'gpt': gpt.GPTConfig,
  'gpt_neox': gpt_neox.NeoXConfig,
  'mlp': network.MLP,
}
