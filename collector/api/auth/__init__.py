"""Who is asking: log-in, sign-up, passwords, people."""
