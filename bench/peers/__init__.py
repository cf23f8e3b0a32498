"""Other ways from Kafka into Postgres, set up as their own documentation says, to be measured beside Siltstone."""
