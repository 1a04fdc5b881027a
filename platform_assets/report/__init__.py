"""The status page: what stands well and what does not, in one file that needs no network.

Belongs here: gathering what is known into facts, judging a state from them, drawing the page.
Does not belong here: any knowledge of Dagster (``assets.report``, which also says what assets there
are), and finding out anything new: what is late, odd or failed is found elsewhere.
"""
