"""The gRPC face of a plugin: messages in, resource types asked, messages out."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any, NoReturn

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
)

from .resource import Call, Change, PluginError, ResourceType
from .running import cancel_all
from .wire import Properties, decode, encode

_MESSAGE_LIMIT = 400 * 1024 * 1024  # as the engine's own
_WORKERS = 32
_KINDS = {
    ("add", False): provider_pb2.PropertyDiff.ADD,
    ("add", True): provider_pb2.PropertyDiff.ADD_REPLACE,
    ("delete", False): provider_pb2.PropertyDiff.DELETE,
    ("delete", True): provider_pb2.PropertyDiff.DELETE_REPLACE,
    ("update", False): provider_pb2.PropertyDiff.UPDATE,
    ("update", True): provider_pb2.PropertyDiff.UPDATE_REPLACE,
}


@dataclass(frozen=True)
class Package:
    """A plugin: its name, the version it stands in for, and its resource types."""

    name: str
    version: str
    types: tuple[ResourceType, ...]
    configuration: Mapping[str, str] = field(default_factory=dict)
    """What the official plugin adds to its own provider's inputs."""

    def find(self, urn: str) -> ResourceType:
        """Return the type of a resource."""
        token = urn.split("::")[2].rsplit("$", 1)[-1]
        for known in self.types:
            if known.token == token:
                return known
        offered = ", ".join(sorted(known.token.rsplit(":", 1)[-1] for known in self.types))
        raise PluginError(
            f"the offline {self.name} plugin has no {token} (it has {offered}); "
            f"install the official one: see docs/tools.md"
        )


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """Answers the engine for one package."""

    def __init__(self, package: Package, engine: str | None) -> None:
        self._package = package
        self._engine: engine_pb2_grpc.EngineStub | None = None
        self._attach(engine)

    def Handshake(self, request: Any, context: Any) -> Any:
        """Say what this plugin understands."""
        self._attach(request.engine_address)
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_resources=True)

    def Attach(self, request: Any, context: Any) -> Any:
        """Take the address of an engine that did not start this plugin."""
        self._attach(request.address)
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        """Say which version this stands in for."""
        return plugin_pb2.PluginInfo(version=self._package.version)

    def GetSchema(self, request: Any, context: Any) -> Any:
        """Return the least that is a schema; programs in Python never ask for it."""
        schema = {"name": self._package.name, "version": self._package.version}
        return provider_pb2.GetSchemaResponse(schema=json.dumps(schema))

    def CheckConfig(self, request: Any, context: Any) -> Any:
        """Accept the provider's configuration; neither package has any of its own."""
        inputs = decode(request.news) | dict(self._package.configuration)
        return provider_pb2.CheckResponse(inputs=encode(inputs))

    def DiffConfig(self, request: Any, context: Any) -> Any:
        """Say that no configuration asks for new resources."""
        return provider_pb2.DiffResponse()

    def Configure(self, request: Any, context: Any) -> Any:
        """Say again what this plugin understands, for engines without a handshake."""
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, acceptResources=True
        )

    def Check(self, request: Any, context: Any) -> Any:
        """Check a resource's inputs."""
        kind = self._find(request, context)
        inputs, failures = kind.check(_public(decode(request.news)))
        shown = [
            provider_pb2.CheckFailure(property=found.property, reason=found.reason)
            for found in failures
        ]
        return provider_pb2.CheckResponse(inputs=encode(inputs), failures=shown)

    def Diff(self, request: Any, context: Any) -> Any:
        """Say what changes and what of it replaces."""
        kind = self._find(request, context)
        olds, old_inputs = decode(request.olds), decode(request.old_inputs)
        found = kind.diff(olds, _public(old_inputs), _public(decode(request.news)))
        return _diff_response(found)

    def Create(self, request: Any, context: Any) -> Any:
        """Make a resource."""
        kind = self._find(request, context)
        call = self._call(request)
        try:
            identifier, outputs = kind.create(call, _public(decode(request.properties)))
        except PluginError as error:
            _refuse(context, error)
        return provider_pb2.CreateResponse(id=identifier, properties=encode(outputs))

    def Update(self, request: Any, context: Any) -> Any:
        """Change a resource in place."""
        kind = self._find(request, context)
        olds, old_inputs = decode(request.olds), decode(request.old_inputs)
        news = _public(decode(request.news))
        try:
            outputs = kind.update(self._call(request), olds, _public(old_inputs), news)
        except PluginError as error:
            _refuse(context, error)
        return provider_pb2.UpdateResponse(properties=encode(outputs))

    def Delete(self, request: Any, context: Any) -> Any:
        """Remove a resource."""
        kind = self._find(request, context)
        try:
            kind.delete(self._call(request), decode(request.properties))
        except PluginError as error:
            _refuse(context, error)
        return empty_pb2.Empty()

    def Read(self, request: Any, context: Any) -> Any:
        """Return the state as it is: nothing of these resources can change elsewhere."""
        self._find(request, context)
        if not request.properties.fields:
            name = self._package.name
            _refuse(context, PluginError(f"the offline {name} plugin cannot import resources"))
        return provider_pb2.ReadResponse(
            id=request.id, properties=request.properties, inputs=request.inputs
        )

    def Invoke(self, request: Any, context: Any) -> Any:
        """Refuse functions: no program here calls one."""
        _refuse(context, PluginError(f"the offline plugins have no function {request.tok}"))

    def Cancel(self, request: Any, context: Any) -> Any:
        """End what is running."""
        cancel_all()
        return empty_pb2.Empty()

    def _find(self, request: Any, context: Any) -> ResourceType:
        try:
            return self._package.find(request.urn)
        except PluginError as error:
            _refuse(context, error)

    def _attach(self, address: str | None) -> None:
        if address and self._engine is None:
            self._engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address))

    def _call(self, request: Any) -> Call:
        name = request.urn.split("::", 3)[3]
        preview = getattr(request, "preview", False)
        return Call(name, preview, lambda line: self._log(request.urn, line))

    def _log(self, urn: str, line: str) -> None:
        if self._engine is not None and line:
            self._engine.Log(engine_pb2.LogRequest(severity=engine_pb2.INFO, message=line, urn=urn))


def serve(package: Package, engine: str | None) -> None:
    """Answer on a port of the loopback interface until the engine is gone."""
    limits = [
        ("grpc.max_receive_message_length", _MESSAGE_LIMIT),
        ("grpc.max_send_message_length", _MESSAGE_LIMIT),
    ]
    server = grpc.server(futures.ThreadPoolExecutor(_WORKERS), options=limits)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(package, engine), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    # The engine reads the port from the first line.
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    threading.Thread(target=_leave_with, args=(os.getppid(),), daemon=True).start()
    server.wait_for_termination()


def _leave_with(parent: int) -> None:
    """End with the engine, also when it was killed and could not say so."""
    while os.getppid() == parent:
        time.sleep(1)
    cancel_all()
    os._exit(1)


def _public(properties: Properties) -> Properties:
    """Return what the user gave: the engine's own keys start with two underscores."""
    return {name: value for name, value in properties.items() if not name.startswith("__")}


def _diff_response(found: Mapping[str, Change]) -> Any:
    top = {path: path.split(".")[0].split("[")[0] for path in found}
    some = provider_pb2.DiffResponse.DIFF_SOME
    return provider_pb2.DiffResponse(
        changes=some if found else provider_pb2.DiffResponse.DIFF_NONE,
        diffs=sorted(set(top.values())),
        replaces=sorted({top[path] for path, change in found.items() if change.replace}),
        hasDetailedDiff=True,
        detailedDiff={
            path: provider_pb2.PropertyDiff(
                kind=_KINDS[change.kind, change.replace], inputDiff=True
            )
            for path, change in found.items()
        },
    )


def _refuse(context: Any, error: PluginError) -> NoReturn:
    context.abort(grpc.StatusCode.UNKNOWN, str(error))
    raise error
