"""Everything that knows Kubernetes. Imports no Django."""
