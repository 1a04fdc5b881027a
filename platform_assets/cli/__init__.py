"""The console script ``platform-assets``: what the Makefile and the docs call.

Thin on purpose: everything that it does can be reached from Python or Dagster too.
"""
