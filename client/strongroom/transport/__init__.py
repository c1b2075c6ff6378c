"""How a client reaches a relay. The protocol in `base` is also the seam at which tests put a hostile relay."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from strongroom.transport.base import Transport
from strongroom_protocol.errors import InvalidArgument

LOOPBACK = ("127.0.0.1", "::1", "localhost")


async def open_transport(url: str, *, create: bool = False) -> Transport:
    """The transport for a relay address; `create` makes the folder of a file:/// vault.

    Raises InvalidArgument for an address that is none, or that would send anything unencrypted over a network.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        from strongroom.transport.inprocess import open_folder

        folder = Path(unquote(parts.path))
        if parts.netloc not in ("", "localhost") or not folder.is_absolute():
            raise InvalidArgument("a folder vault is file:///absolute/folder")
        return await open_folder(folder, create=create)
    if parts.username or parts.password or parts.query or parts.fragment or parts.path not in ("", "/"):
        raise InvalidArgument("a relay address is https://HOST[:PORT], without path, user or query")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:  # spec: CLIENT-2
        raise InvalidArgument(
            "http:// is for loopback only", hint="use https://; http:// goes to a relay on this computer, 127.0.0.1"
        )
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise InvalidArgument("a relay address is https://…, http:// on loopback, or file:///folder")
    from strongroom.transport.http import HttpTransport

    return HttpTransport(f"{parts.scheme}://{parts.netloc}")
