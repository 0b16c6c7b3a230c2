"""What a Kindling stack gives to other stacks, by StackReference."""

from __future__ import annotations

from typing import Any

import pulumi

_MISSING = (
    "it was not brought up yet, it is not a Kindling stack, or it has no Kubernetes. "
    "Run `pulumi up` there, or look at `pulumi stack output` there and correct "
    "consumer:kindlingStack"
)
_CLOSED = (
    "Pulumi needs here what that stack's secrets are encrypted with. With passphrases, that is the "
    "same PULUMI_CONFIG_PASSPHRASE for both; with a key service, the right to use its key"
)


class ClusterOutputs:
    """The outputs of one stack. What is secret there is secret here; what is missing is named."""

    def __init__(self, stack: str) -> None:
        self._name = stack
        self._stack = pulumi.StackReference("cluster", stack_name=stack)
        self.kubeconfig = self.required("kubeconfig")
        self.endpoint = self.required("endpoint")
        self.certificate = self.required("caCertificate")
        self.networks = self.required("networks")
        self.versions = self.required("versions")
        self.nodes = self.required("nodes")

    def required(self, output: str) -> pulumi.Output[Any]:
        """An output that must be there, and readable here."""

        def found(value: Any) -> Any:
            if value is None:
                raise pulumi.RunError(f"the stack {self._name} has no output {output}: {_MISSING}")
            if value == {}:  # what Pulumi makes of a secret that it cannot decrypt
                raise pulumi.RunError(
                    f"the output {output} of the stack {self._name} cannot be decrypted: {_CLOSED}"
                )
            return value

        return self._stack.get_output(output).apply(found)
