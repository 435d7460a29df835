"""Services that paas-isolate runs: starting them, the records of their runs, the results of jobs, their logs."""
