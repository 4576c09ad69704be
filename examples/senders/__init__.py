"""Senders of your own, each in a few lines; a test runs each of them against a stand-in server."""
