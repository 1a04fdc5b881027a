"""The incident drill: what of all that goes wrong at sources does the platform notice, and when?

Belongs here: a clean simulated year, a catalogue of incidents, running them one at a time, and
judging what the platform said. Does not belong here: any detector, and nothing that the platform
itself needs. Incidents change sources only, never a table of the platform.
"""
