"""A Django app that holds nothing but the user."""
