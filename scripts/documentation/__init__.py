"""The pages below docs/ that are generated from the program."""
