"""One node's plan and secrets become everything that is published for it.

Each operating system is one module with one function of this shape; the rest of Kindling knows
none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kindling.models.plan import NodePlan
from kindling.rendering import flatcar
from kindling.rendering.rendered import RenderedNode
from kindling.rendering.secrets import NodeSecrets

Render = Callable[[NodePlan, NodeSecrets], RenderedNode]

SYSTEMS: Mapping[str, Render] = {"flatcar": flatcar.render}


def render_node(plan: NodePlan, secrets: NodeSecrets) -> RenderedNode:
    """Render one node. Equal plans and secrets give equal bytes.

    Raises `RenderError` naming the node, the template and the line, and `CommandError` when a
    tool is missing.
    """
    return SYSTEMS[plan.node.os](plan, secrets)


__all__ = ["SYSTEMS", "RenderedNode", "render_node"]
