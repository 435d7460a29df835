"""When to turn the reconciler, where something says that it is time: the same reconciler as cron's."""
