"""Attack 093: who is in the network's way with a certificate of their own learns nothing and says nothing."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import json
import os
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from strongroom_protocol.relay_api.messages import RelayInfo

KEY_BYTES = bytes(range(32))
NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)

CLIENT = """
import asyncio, json, sys
from strongroom.transport import open_transport
from strongroom_protocol.errors import StrongroomError

async def ask(url):
    transport = await open_transport(url)
    try:
        return (await transport.relay_info()).receipt_key.hex()
    except StrongroomError as error:
        return type(error).__name__
    finally:
        await transport.close()

print(json.dumps([asyncio.run(ask(url)) for url in sys.argv[1:]]))
"""


class Authority:
    """Signs certificates; `root` is what clients may trust."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.root = self._sign(self._name, self._key.public_key(), [], ca=True, until=NOW + DAY)

    def server(self, *alternatives: x509.GeneralName, until: datetime.datetime = NOW + DAY) -> tuple[bytes, bytes]:
        """Certificate and key of a server of these names, PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "relay")])
        certificate = self._sign(name, key.public_key(), list(alternatives), ca=False, until=until)
        plain = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return certificate.public_bytes(serialization.Encoding.PEM), plain

    def _sign(
        self, name: x509.Name, key: ec.EllipticCurvePublicKey, names: list[x509.GeneralName], *, ca: bool,
        until: datetime.datetime,
    ) -> x509.Certificate:  # fmt: skip
        builder = (
            x509.CertificateBuilder().subject_name(name).issuer_name(self._name).public_key(key)
            .serial_number(x509.random_serial_number()).not_valid_before(until - 30 * DAY).not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )  # fmt: skip
        if ca:
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        else:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256())


@asynccontextmanager
async def serving(folder: Path, pair: tuple[bytes, bytes], asked: list[bytes]) -> AsyncIterator[str]:
    """A relay's address with this certificate; `asked` gets the bytes of requests that arrived."""
    (folder / "cert.pem").write_bytes(pair[0])
    (folder / "key.pem").write_bytes(pair[1])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    body = RelayInfo(KEY_BYTES, 1, "https://127.0.0.1").encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/cbor\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def test_attack_093_certificates_that_do_not_verify_are_refused_before_a_request(tmp_path: Path) -> None:
    """Unknown authority, signed by itself, another host, expired: a typed error and not one byte of a request. The
    control is a certificate of a trusted authority for the right address."""
    trusted, unknown = Authority("trusted"), Authority("unknown")
    here = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    (tmp_path / "ca.pem").write_bytes(trusted.root.public_bytes(serialization.Encoding.PEM))
    itself = Authority("itself")
    pairs = {
        "good": trusted.server(here),
        "unknown authority": unknown.server(here),
        "signed by itself": itself.server(here),
        "another host": trusted.server(x509.DNSName("relay.example")),
        "no name": trusted.server(),
        "expired": trusted.server(here, until=NOW - DAY),
    }
    asked: dict[str, list[bytes]] = {name: [] for name in pairs}
    for name in pairs:
        (tmp_path / name).mkdir()
    async with _all(tmp_path, pairs, asked) as urls:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CLIENT, *urls, stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "SSL_CERT_FILE": str(tmp_path / "ca.pem")},
        )  # fmt: skip
        out, _ = await asyncio.wait_for(process.communicate(), 60)
    found = dict(zip(pairs, json.loads(out), strict=True))
    assert found.pop("good") == KEY_BYTES.hex()
    assert set(found.values()) == {"RelayUnreachable"}
    assert [name for name, requests in asked.items() if requests] == ["good"]


@asynccontextmanager
async def _all(
    folder: Path, pairs: dict[str, tuple[bytes, bytes]], asked: dict[str, list[bytes]]
) -> AsyncIterator[list[str]]:
    from contextlib import AsyncExitStack

    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(serving(folder / name, pair, asked[name])) for name, pair in pairs.items()
        ]
