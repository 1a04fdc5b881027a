"""Speed and memory, measured side by side: ``make bench`` writes ``bench/RESULTS.md``.

Belongs here: what is measured, against what, and how. Does not belong here: anything that the
platform needs in order to run. docs/reference/benchmarks.md says how to read the results.
"""
