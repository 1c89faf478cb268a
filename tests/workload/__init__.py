"""A known workload for real workers: what it does is known before it runs."""
