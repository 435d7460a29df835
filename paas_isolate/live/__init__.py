"""What accounts use at this moment: rates between two readings beside the limits, and processes.

Only `top` imports it: it brings psutil. It needs no metering, and writes nothing.
"""
