"""Training, measuring and writing: runs from their start to their end."""
