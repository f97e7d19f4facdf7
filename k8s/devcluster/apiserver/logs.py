"""The log of a container, fetched from the kubelet of its node."""

import aiohttp
from aiohttp import web

from . import errors
from .registry import Registry
from .resources import BY_PLURAL
from .target import Target

#: Sorted, as Go writes a query.
_PASSED = ("follow", "limitBytes", "previous", "sinceSeconds", "sinceTime", "tailLines", "timestamps")


def _container(pod: dict[str, object], asked: str) -> str:
    spec = pod["spec"]
    assert isinstance(spec, dict)  # noqa: S101
    name = pod["metadata"]["name"]  # type: ignore[index]
    main = [one["name"] for one in spec["containers"]]
    first = [one["name"] for one in spec.get("initContainers") or []]
    if not asked:
        if len(main) == 1:
            return str(main[0])
        choices = f"choose one of: [{' '.join(first + main)}]"
        raise errors.bad_request(f"a container name must be specified for pod {name}, {choices}")
    if asked not in main + first:
        raise errors.bad_request(f"container {asked} is not valid for pod {name}")
    return asked


async def stream(
    request: web.Request, target: Target, registry: Registry, session: aiohttp.ClientSession
) -> web.StreamResponse:
    """Pass the kubelet's answer on, as it comes. Raises ApiError."""
    pod = registry.get(target.resource, target.namespace, target.name).obj
    container = _container(pod, request.query.get("container", ""))
    name = pod["spec"].get("nodeName")
    if not name:
        return web.Response(status=204)
    node = registry.get(BY_PLURAL["nodes"], "", name).obj
    addresses = (node.get("status") or {}).get("addresses") or []
    host = next((one["address"] for one in addresses if one["type"] == "InternalIP"), "127.0.0.1")
    endpoint = ((node.get("status") or {}).get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}
    url = f"https://{host}:{endpoint.get('Port', 0)}/containerLogs/{target.namespace}/{target.name}/{container}"
    query = {key: request.query[key] for key in _PASSED if request.query.get(key)}
    try:
        async with session.get(url, params=query, ssl=False) as answer:
            return await _pass(request, answer)
    except aiohttp.ClientError as problem:
        raise errors.ApiError(500, "InternalError", f'Get "{url}": {problem}') from None


async def _pass(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    if answer.status >= 400:
        text = (await answer.text()).strip()
        reason = {400: "BadRequest", 404: "NotFound"}.get(answer.status, "InternalError")
        raise errors.ApiError(answer.status, reason, text)
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await response.prepare(request)
    async for piece in answer.content.iter_any():
        await response.write(piece)
    await response.write_eof()
    return response
