"""PAM: the lines that call our module at logins, the stacks that contain them, and the doors (pam.conf(5))."""
