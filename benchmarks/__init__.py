"""Benchmarks of speed and of quality, apart from the tests. See README.md beside this file."""
