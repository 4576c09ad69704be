"""MongoDB: sessions and the verdict, accounts and their admission."""
