"""The events we accept, as types; bytes to event and back. Knows neither Kafka nor Postgres."""
