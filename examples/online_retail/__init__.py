"""A real retailer's year: 541,909 invoice lines, accounted for to the penny.

Belongs here: the UCI Online Retail data set as a dataset of the platform, and the command that runs
it and holds the published tables against its control totals. Does not belong here: the data.
"""
