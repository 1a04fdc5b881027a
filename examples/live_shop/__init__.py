"""The living shop as an example: a database, an API, a change log and daily files.

Belongs here: what it takes to follow a source system that goes on. Does not belong here: the source
system itself (``platform_assets.demo.live``).
"""
