"""Turns the bytes of a YAML file into the model, or into complaints that an administrator can act on.

Pure: nothing here opens a file, reads a clock or asks the password database (users come through `UserDatabase`).
Hostile bytes cost a bounded amount of time and end in a SpecError, never in another exception.
"""
