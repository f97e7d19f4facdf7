"""An in-memory Kubernetes API server for laptops and tests, with the controllers that pods need."""
