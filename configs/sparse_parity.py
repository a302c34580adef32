"""The preset `sparse_parity` of emergence_jax/config/presets."""

from emergence_jax.config.presets.sparse_parity import get_config

__all__ = ['get_config']
