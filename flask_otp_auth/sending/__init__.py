"""Sending messages: the providers, the threads in which codes are sent, and the texts."""
