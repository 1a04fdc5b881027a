"""Projects built on the platform, as its users would build them: one folder each.

Belongs here: what a user writes. Does not belong here: anything that the platform itself needs.
"""
