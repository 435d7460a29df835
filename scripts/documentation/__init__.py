"""The pages in docs/ that are generated from the program."""
