"""A real Kubernetes control plane on loopback: etcd, kube-apiserver, kube-controller-manager and kube-scheduler. No nodes.

`tests.support.controlplane.ControlPlane` is what tests use; `python -m tests.controlplane` is the same from a shell.
"""
