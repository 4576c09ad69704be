"""The login page: one view, its texts in five languages, and where it may lead to."""
