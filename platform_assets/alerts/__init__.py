"""What is worth saying, to whom, and how often.

Belongs here: problems, the policy in ``alerts.yaml``, what becomes of a problem over time, messages
and their delivery. Does not belong here: seeing that something is wrong (``sensors``, which tell it
as signals), and any knowledge of Dagster.
"""
