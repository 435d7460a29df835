"""scripts/test: a workshop with tools of known versions, and the stages that use them."""
