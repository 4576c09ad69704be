"""The login page: its view, and its texts in five languages."""
