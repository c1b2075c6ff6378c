"""The Strongroom protocol, sans-I/O: no socket, path, clock or global randomness in here.

This module imports nothing on purpose: a relay loads parts of the package and must not load key code.
"""
