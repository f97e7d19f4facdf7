import ipaddress
import json
import os
from typing import Any

from k8s.instance_objects import PRIVATE_V4, PRIVATE_V6, instance_objects
from k8s.policy import check_schema
from tests.k8s import examples

QUOTA: dict[str, int | None] = {"cpu_millis": 32000, "memory_mib": 65536, "gpus": 2, "storage_gib": 100, "running": 20}


def made(**changes: Any) -> list[dict[str, Any]]:
    return instance_objects(
        **{
            "name": "ml101",
            "namespace": examples.NAMESPACE,
            "site": "site-1",
            "quota": QUOTA,
            "ingress_namespace_labels": {"kubernetes.io/metadata.name": "ingress-nginx"},
            **changes,
        }
    )


def named(name: str, **changes: Any) -> dict[str, Any]:
    return next(obj for obj in made(**changes) if obj["metadata"]["name"] == name)


def test_objects_are_as_recorded() -> None:
    if os.environ.get("GOLDEN") == "write":
        (examples.GOLDEN / "instance.json").write_text(json.dumps(made(), indent=1) + "\n")
    assert made() == examples.golden("instance")


def test_objects_are_valid() -> None:
    assert [problem for obj in made() for problem in check_schema(obj)] == []


def test_objects_carry_our_labels_and_none_of_a_workload() -> None:
    for obj in made():
        labels = obj["metadata"]["labels"]
        assert labels["mlsite/site"] == "site-1"
        assert labels["mlsite/instance"] == "ml101"
        assert labels["app.kubernetes.io/managed-by"] == "mlsite"
        assert "mlsite/workload" not in labels


def test_namespace_comes_first_and_enforces_restricted_pods() -> None:
    namespace = made()[0]
    assert namespace["kind"] == "Namespace"
    for mode in ("enforce", "warn", "audit"):
        assert namespace["metadata"]["labels"][f"pod-security.kubernetes.io/{mode}"] == "restricted"


def test_amount_without_a_limit_is_not_limited() -> None:
    hard = next(obj for obj in made(quota={"cpu_millis": 500, "gpus": 0}) if obj["kind"] == "ResourceQuota")["spec"][
        "hard"
    ]
    assert hard == {
        "requests.cpu": "500m",
        "requests.nvidia.com/gpu": "0",
        "services.nodeports": "0",
        "services.loadbalancers": "0",
    }


def test_account_of_labs_has_no_token() -> None:
    account = next(obj for obj in made() if obj["kind"] == "ServiceAccount")
    assert account["metadata"]["name"] == "lab"
    assert account["automountServiceAccountToken"] is False


def test_the_login_of_a_registry_comes_before_the_account_that_names_it() -> None:
    login = '{"auths": {"registry.example.org": {"auth": "cm9ib3Q6c2VjcmV0"}}}'
    kinds = [obj["kind"] for obj in made(registry_login=login)]
    assert kinds[:3] == ["Namespace", "Secret", "ServiceAccount"]
    assert made(registry_login=login)[2]["imagePullSecrets"] == [{"name": "registry"}]
    assert not [problem for obj in made(registry_login=login) for problem in check_schema(obj)]
    assert "imagePullSecrets" not in made()[1]


def test_services_at_once_are_no_limit_of_pods_but_pods_have_an_end() -> None:
    """One service may have several pods. Those that have ended and are still there count too, so that no heap is made of them."""
    hard = next(obj for obj in made(quota={"running": 1}) if obj["kind"] == "ResourceQuota")["spec"]["hard"]
    assert "pods" not in hard
    assert int(hard["count/pods"]) >= 100


def test_the_disks_of_machines_are_limited_too() -> None:
    quota = next(obj for obj in made(disk_gib=16) if obj["kind"] == "ResourceQuota")
    assert quota["spec"]["hard"]["limits.ephemeral-storage"] == "32000Gi", "the pods of twenty services"
    limit = next(obj for obj in made(disk_gib=16) if obj["kind"] == "LimitRange")["spec"]["limits"][0]
    assert (limit["default"]["ephemeral-storage"], limit["defaultRequest"]["ephemeral-storage"]) == ("16Gi", "1Gi")
    unlimited = next(obj for obj in made(quota={}) if obj["kind"] == "ResourceQuota")
    assert "limits.ephemeral-storage" not in unlimited["spec"]["hard"]


def test_sparks_account_may_make_executors_and_no_more() -> None:
    objects = {(obj["kind"], obj["metadata"]["name"]): obj for obj in made(has_spark=True)}
    rule = {
        "apiGroups": [""], "resources": ["pods", "services", "configmaps"],
        "verbs": ["get", "watch", "list", "create", "delete"],
    }  # fmt: skip
    assert objects["Role", "spark"]["rules"] == [rule]
    subject = {"kind": "ServiceAccount", "name": "spark", "namespace": examples.NAMESPACE}
    assert objects["RoleBinding", "spark"]["subjects"] == [subject]
    assert objects["ServiceAccount", "spark"]["automountServiceAccountToken"] is False
    assert not [problem for obj in made(has_spark=True) for problem in check_schema(obj)]
    assert "Role" not in {obj["kind"] for obj in made()}


def test_internet_leaves_out_private_networks_and_the_metadata_address() -> None:
    v4, v6 = (block["ipBlock"] for block in named("allow-internet")["spec"]["egress"][0]["to"])
    private = ("10.1.2.3", "172.20.0.1", "192.168.1.1", "100.64.1.1", "127.0.0.1")
    for address in (*private, "169.254.169.254", "100.100.100.200", "192.0.0.192", "168.63.129.16"):
        assert any(ipaddress.ip_address(address) in ipaddress.ip_network(net) for net in v4["except"])
    old = ("2002:a00:1::1", "fec0::1", "::10.0.0.1", "2001:0:a00:1::1")
    for address in ("fd00:ec2::254", "fe80::1", "::1", "64:ff9b::a00:1", "64:ff9b:1::a00:1", *old):
        assert any(ipaddress.ip_address(address) in ipaddress.ip_network(net) for net in v6["except"])
    assert (v4["except"], v6["except"]) == (PRIVATE_V4, PRIVATE_V6)


def test_public_networks_can_be_left_out_of_the_internet() -> None:
    there = ["198.51.100.7/32", "2001:db8:1::/64", "203.0.113.0/24", "198.51.100.7/32"]
    v4, v6 = (
        block["ipBlock"] for block in named("allow-internet", forbidden_networks=there)["spec"]["egress"][0]["to"]
    )
    assert v4["except"] == [*PRIVATE_V4, "198.51.100.7/32", "203.0.113.0/24"]
    assert v6["except"] == [*PRIVATE_V6, "2001:db8:1::/64"]


def test_labs_without_internet_reach_none() -> None:
    assert named("allow-internet", lab_uses_internet=False)["spec"]["egress"] == []


def test_only_the_ingress_controller_reaches_labs() -> None:
    assert named("deny-all")["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    (rule,) = named("allow-ingress")["spec"]["ingress"]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}]
    assert rule["ports"] == [{"protocol": "TCP", "port": 8888}]


def test_senders_and_name_servers_that_are_no_pods_are_let_through_by_their_addresses() -> None:
    (rule,) = named("allow-ingress", ingress_networks=["10.42.7.0", "130.211.0.0/22", "fd00:1::7"])["spec"]["ingress"]
    assert rule["from"][0] == {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}
    blocks = [one["ipBlock"] for one in rule["from"][1:]]
    assert blocks == [{"cidr": "10.42.7.0/32"}, {"cidr": "130.211.0.0/22"}, {"cidr": "fd00:1::7/128"}]
    assert rule["ports"] == [{"protocol": "TCP", "port": 8888}]
    (rule,) = named("allow-dns", name_servers=["169.254.20.10"])["spec"]["egress"]
    assert rule["to"][1:] == [{"ipBlock": {"cidr": "169.254.20.10/32"}}]
    assert {(port["protocol"], port["port"]) for port in rule["ports"]} == {("UDP", 53), ("TCP", 53)}


def test_an_instance_whose_cluster_names_nobody_is_reached_by_nobody() -> None:
    """An empty list of senders would let everybody in."""
    (rule,) = named("allow-ingress", ingress_namespace_labels={"kubernetes.io/metadata.name": ""})["spec"]["ingress"]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": ""}}}]
