"""HTTP: routes, schemas, the limits of clients, and the answers to errors."""
