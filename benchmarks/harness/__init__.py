"""The machinery of the benchmarks: what is measured is in ``peers/``, the entry is ``run.py``."""
