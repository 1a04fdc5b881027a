"""What turns what happened into signals: one module for each place that tells of something.

Belongs here: looking at Dagster, the lake, breakers and sources, and saying what is wrong there in
one form. Does not belong here: what becomes of a problem, who hears of it and how (``alerts``).

There are two ways of looking. Where things are appended (runs, checks, the ledger, drifts), a
collector reads on from a cursor. Where something stands (freshness, breakers, heartbeats, findings,
lag), it looks at all of it and tells what has begun, got worse or ended since the book was written.
Either way what is seen and how far was looked go into the book in one transaction.
"""
