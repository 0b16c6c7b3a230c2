"""What an artifact resource does in `pulumi up`, in a process of its own so that it can be weighed.

python -m tools.bench.sender FILE.json STORE_URL   (FILE.json: an `AssetFile`)
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from kindling.artifacts.download import fetch
from kindling.models.assets import AssetFile
from kindling.stores.opening import open_store
from tools.bench.measuring import seconds
from tools.bench.memory import Growth


def main(description: Path, store_url: str) -> dict[str, float]:
    """Fetch one file into the cache and publish it; seconds of both, and bytes of memory taken."""
    file = AssetFile.model_validate_json(description.read_bytes())
    store = open_store({"http": store_url}, os.environ["KINDLING_STORE_TOKEN"])
    growth = Growth.since(os.getpid())
    fetched = seconds(lambda: fetch(file))
    digest = file.sha256 or ""
    local = fetch(file)  # from the cache
    put = seconds(lambda: store.put(file.path, local, sha256=digest, owner="bench/transfer"))
    return {"fetch": fetched, "put": put, "memory": growth.peak()}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), sys.argv[2])) + "\n")
