"""Confines every process of every customer of a shared-hosting machine.

Read what should be, look at what is, list the differences as small sentences, carry them out, look again.
Start with `reconcile.py`, which is one turn of that wheel.
"""

__version__ = "0.2.0"
