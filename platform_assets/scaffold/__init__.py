"""A contract proposed from a live source: a bounded sample in, a proposal with its evidence out.

Belongs here: looking at a sample, in the engine, and writing down what was seen. Does not belong
here: deciding; a person reads the proposal before a row is judged by it.
"""

from platform_assets.scaffold.module import ModuleOptions, render_module
from platform_assets.scaffold.pinned import render_pinned
from platform_assets.scaffold.proposal import Proposal, ProposedColumn
from platform_assets.scaffold.propose import Known, propose
from platform_assets.scaffold.sample import SAMPLE_ROWS, Sample, sampled

__all__ = [
    "SAMPLE_ROWS",
    "Known",
    "ModuleOptions",
    "Proposal",
    "ProposedColumn",
    "Sample",
    "propose",
    "render_module",
    "render_pinned",
    "sampled",
]
