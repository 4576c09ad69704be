"""Puts the description of the login into that of a host that describes its own endpoints."""
