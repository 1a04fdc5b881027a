"""What the platform tells of itself to other tools: metrics, traces, logs, lineage.

Belongs here: saying what happened in the form that a tool reads. Does not belong here: deciding
whether it is bad (``quality``, ``alerts``).
"""
