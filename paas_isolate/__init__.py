"""Confines every process of every customer of a shared-hosting machine.

Reads the specifications, observes the machine, compares, applies the differences as small steps, and observes again.
Start with `reconcile.py`, which is one such pass; docs/architecture.md has the words and the layers.
"""

__version__ = "0.2.0"
