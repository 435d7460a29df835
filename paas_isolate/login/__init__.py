"""The login helper: a process for each login, which checks a password or a token, connects to the daemon as that user,
and copies bytes."""
