"""When to turn the wheel, where something says that it is time: the same wheel as cron's."""
