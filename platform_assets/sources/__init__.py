"""How rows come in: one module per kind of source, behind one protocol (``base``)."""
