"""The page and the HTTP interface. Its process has no rights: each question goes to the daemon, over a connection that
the login helper has opened for who has logged in."""
