# make lint test nightly docs run
.PHONY: lint test nightly docs run
lint: ; ruff check . && ruff format --check . && python -m mypy
test: ; python -m pytest
nightly: ; .ci/run nightly
docs: ; python -m sphinx -W docs docs/_build
run: ; python -m experiments.run --config=configs/modadd.py
