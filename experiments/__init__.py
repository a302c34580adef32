"""What a checkout has besides the package: thin apps, bench and results."""
