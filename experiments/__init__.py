"""Programs: thin absl apps over the package."""
