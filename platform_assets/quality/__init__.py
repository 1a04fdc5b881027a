"""Statistics that notice: what a partition looks like, against what its history makes expected.

Belongs here: profiles of published rows, what is expected of the next ones, findings, what a person
says of a finding, and the quality score. Does not belong here: rules of single rows
(``contracts``), and how any of it is shown (``assets``, ``cli``).
"""
