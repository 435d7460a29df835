"""What the ledger has of an account over time, as an SVG picture and as a line of characters.

What was not measured is a gap, and never 0.
"""
