"""MongoDB: the documents of sessions, accounts and logins, and the updates that decide on them."""
