"""iPXE's list of images: what kernel, initrd, imgverify and boot work on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from kindling.simulator.call import Call
from kindling.simulator.ends import Boot, Fetcher, Finished
from kindling.simulator.transport import Fetched, TransferFailed


@dataclass
class _Image:
    fetched: Fetched
    arguments: tuple[str, ...]
    trusted: bool = False


class Images:
    """The images of one boot. ``fail`` says why a command failed and gives its status."""

    def __init__(
        self,
        fetcher: Fetcher,
        resolve: Callable[[str], str],
        say: Callable[[str], None],
        fail: Callable[[str], int],
    ) -> None:
        self._fetcher = fetcher
        self._resolve = resolve
        self._say = say
        self._failed = fail
        self._images: dict[str, _Image] = {}
        self._selected: str | None = None
        self._trust_required = False

    def kernel(self, call: Call) -> int:
        """Fetch an image and select it."""
        return self._load(call, select=True)

    def initrd(self, call: Call) -> int:
        """Fetch an image beside the kernel."""
        return self._load(call, select=False)

    def _load(self, call: Call, *, select: bool) -> int:
        options = call.options({"--autofree"}, {"--timeout", "--name"})
        reference, *arguments = call.arguments(1, None)
        url = self._resolve(reference)
        name = options.get("--name") or urlsplit(url).path.rsplit("/", 1)[-1]
        try:
            self._images[name] = _Image(self._fetcher.image(url), tuple(arguments))
        except TransferFailed as failure:
            return self._failed(str(failure))
        if select:
            self._selected = name
        return 0

    def boot(self, call: Call) -> int:
        """Boot the selected kernel with all other images as its initrds."""
        call.options({"--autofree", "--replace"}, {"--timeout", "--name"})
        if call.words and (status := self._load(call, select=True)):
            return status
        if self._selected is None:
            return self._failed("boot: no kernel is selected")
        kernel = self._images[self._selected]
        if self._trust_required and not kernel.trusted:
            return self._failed(f"boot: {self._selected} is not trusted")
        others = (image for name, image in self._images.items() if name != self._selected)
        raise Finished(
            Boot(kernel.fetched, tuple(i.fetched for i in others), " ".join(kernel.arguments))
        )

    def imgfree(self, call: Call) -> int:
        """Forget the named images, or all."""
        names = call.arguments(0, None) or list(self._images)
        for name in names:
            if self._images.pop(name, None) is None:
                return self._failed(f"imgfree: there is no image {name}")
        if self._selected not in self._images:
            self._selected = None
        return 0

    def imgverify(self, call: Call) -> int:
        """Fetch a signature; simulated machines cannot check it and say so."""
        call.options({"--keep"}, {"--timeout", "--signer"})
        name, signature = call.arguments(2, 2)
        if name not in self._images:
            return self._failed(f"imgverify: there is no image {name}")
        try:
            fetched = self._fetcher.image(self._resolve(signature))
        except TransferFailed as failure:
            return self._failed(str(failure))
        self._say(f"iPXE: {name}: signature of {fetched.size} bytes fetched, not checked")
        self._images[name].trusted = fetched.size > 0
        return int(fetched.size == 0)

    def imgtrust(self, call: Call) -> int:
        """Require (or with --allow, stop requiring) that the kernel was verified."""
        options = call.options({"--allow", "--permanent"}, set())
        call.arguments(0, 0)
        self._trust_required = "--allow" not in options
        return 0
