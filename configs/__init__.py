"""Thin files for `--config=configs/NAME.py`; the presets are the package's."""
