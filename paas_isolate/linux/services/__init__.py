"""Services that paas-isolate runs: started, recorded, their results and logs kept."""
