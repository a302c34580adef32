"""The command line: one app a file, their flags and launch scripts."""
