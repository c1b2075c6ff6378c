"""A malicious relay in a process of its own, and what every client has to stand when it meets one."""
