"""What other tools recorded, as events: a module a kind of file, each a pure function of the file's bytes."""
