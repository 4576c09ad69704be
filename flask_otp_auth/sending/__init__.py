"""Sending: hand a code to the sender, now or in the background, and take it back if it stays."""
