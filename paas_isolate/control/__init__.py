"""The control interface: which verbs there are, who may ask for them, and how requests and answers are written."""
