"""As many dynamic resources as asked for, which do nothing: the engine's own cost."""

import pulumi
from empty_resource import Empty  # type: ignore[import-not-found]  # beside this file

for number in range(pulumi.Config().require_int("count")):
    Empty(f"empty-{number}")
