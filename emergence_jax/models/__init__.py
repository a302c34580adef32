"""Models: pure functions of parameters that return every layer's output."""
