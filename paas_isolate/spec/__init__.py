"""From the bytes of a YAML file to the model, or to complaints that an administrator can act on.

Pure: nothing here opens a file, looks at a clock or asks the password database; hostile bytes cost a
bounded amount of time and end in a SpecError, never in another exception.
"""
