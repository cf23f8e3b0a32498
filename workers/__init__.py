"""The pipeline from Kafka to Postgres, and the commands of operators."""
