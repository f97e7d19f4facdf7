"""The pages of labs and instances: each view parses, calls a service, and renders."""
