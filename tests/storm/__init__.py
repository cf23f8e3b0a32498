"""The storm: many events under many faults, and then every table against a model of what it must be."""
