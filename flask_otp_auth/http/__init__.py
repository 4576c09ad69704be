"""HTTP: routes, schemas, the limits on clients, and the answers to errors."""
