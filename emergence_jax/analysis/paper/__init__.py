"""The replication of arXiv:2602.15997: its numbers, claims and methods."""
