"""Real parts for tests: brokers, workers, Prometheus and the exporter, each a child of the test."""
