"""The steps: one difference each, as data that says itself in one sentence and knows whose it is."""
