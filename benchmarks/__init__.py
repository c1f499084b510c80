"""Benchmarks: `python -m benchmarks run`. Measure; assert nothing."""
