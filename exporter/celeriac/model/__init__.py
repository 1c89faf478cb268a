"""What is known about the cluster: facts, tallies and the one mutable ClusterState."""
