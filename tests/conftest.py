"""What all tests share."""

import os
import sys

from hypothesis import settings

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "changes"))

settings.register_profile("quick", max_examples=60)
settings.load_profile("quick")
