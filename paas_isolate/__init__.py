"""Confines every process of every customer of a shared-hosting machine.

It reads the specifications, observes the machine, compares, applies the differences as small steps, and observes again.
Start reading at `reconcile.py`, which is one such pass; docs/architecture.md explains the words and the layers.
"""

__version__ = "0.2.0"
