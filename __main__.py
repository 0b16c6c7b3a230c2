"""Kindling: one stack file in, one bootable fleet out."""

import pulumi

from components.cluster import Cluster
from components.settings import load_settings

settings = load_settings()
cluster = Cluster(settings.plan.cluster.name, settings)

pulumi.export("bootServer", settings.plan.cluster.boot_server.url)
pulumi.export("architectures", [str(each) for each in settings.plan.cluster.architectures])
pulumi.export("artifacts", cluster.artifacts)
pulumi.export("versions", settings.plan.cluster.assets.versions)
pulumi.export("nodes", cluster.nodes)
pulumi.export("endpoint", cluster.endpoint)
pulumi.export("networks", cluster.networks)
pulumi.export("caCertificate", cluster.certificate)
pulumi.export("kubeconfig", cluster.kubeconfig)
