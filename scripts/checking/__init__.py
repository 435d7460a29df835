"""scripts/test: an environment with tools of known versions, and the stages that use them."""
