"""The command line: the only package that prints or exits. One module for each family of commands.

A command opens the installation, calls a package of a lower layer, and prints the result. It decides nothing itself.
"""
