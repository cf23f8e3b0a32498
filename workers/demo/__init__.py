"""What `siltstone demo` is made of: a place of its own, events, worker processes, and what it shows."""
