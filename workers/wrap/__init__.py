"""`siltstone wrap`, behind its options: run a command, keep what it prints, send what that shows."""
