"""What the platform tells of itself to other systems: metrics, traces, lineage, structured logs.

Belongs here: what is told, and in which format. Does not belong here: when somebody is alerted
(``alerts``), and what is right or wrong with data (``quality``).
"""
