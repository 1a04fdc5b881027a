"""YAML files that people write: read, held against a model, refused with file, line and fix.

Belongs here: what every such file shares. Does not belong here: what one of them means
(``declared`` for ``sources.yaml``, ``alerts`` for ``alerts.yaml``).
"""
