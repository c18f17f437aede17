"""The caller's side: the variables and the proxies that lead a client to an engine."""
