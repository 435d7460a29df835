"""What accounts use at this moment: rates between two readings beside the limits, and processes.

`machine` and `processes` bring psutil. It needs no metering, and writes nothing.
"""
