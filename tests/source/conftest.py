"""The crowd of tests/spec is of use here too."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "spec"))
