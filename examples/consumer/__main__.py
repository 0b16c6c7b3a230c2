"""A program of its own that uses a cluster which Kindling made; see docs/credentials.md."""

import pulumi
from outputs import ClusterOutputs

cluster = ClusterOutputs(pulumi.Config().require("kindlingStack"))

# What runs on the cluster takes the kubeconfig as it is; it stays a secret on the way:
#     provider = pulumi_kubernetes.Provider("cluster", kubeconfig=cluster.kubeconfig)
pulumi.export("kubeconfig", cluster.kubeconfig)

# What stands beside the cluster takes addresses, networks and versions.
pulumi.export("api", cluster.endpoint["url"])
pulumi.export("podSubnet", cluster.networks["podSubnet"])
pulumi.export("kubernetes", cluster.versions["kubernetes"])
pulumi.export("monitored", cluster.nodes.apply(lambda nodes: [each["hostname"] for each in nodes]))
