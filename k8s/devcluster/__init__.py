"""A Kubernetes cluster for a laptop and for tests: `python -m k8s.devcluster`. It listens on loopback only."""
