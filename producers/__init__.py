"""From what others recorded to events, and from events to Kafka."""
