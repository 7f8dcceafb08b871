"""Certificates and keys of a server and of a client, as PEM files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import grpc

from serving.errors import ServingError


@dataclass(frozen=True)
class ServerTls:
    """A server's certificate, and the authority that must have signed its clients' certificates.

    Attributes:
        private_key: Private key of the certificate.
        certificate: Certificate of the server, with its chain up to the authority.
        client_authority: Certificates of authorities, one of which must have signed a client's;
            None lets in clients without a certificate.
    """

    private_key: Path
    certificate: Path
    client_authority: Path | None = None

    def credentials(self) -> grpc.ServerCredentials:
        """Returns the credentials for a secure port.

        Raises:
            ServingError: A file cannot be read.
        """
        return grpc.ssl_server_credentials(
            [(_read(self.private_key), _read(self.certificate))],
            root_certificates=self.client_authority and _read(self.client_authority),
            require_client_auth=self.client_authority is not None,
        )


@dataclass(frozen=True)
class ClientTls:
    """The authority that a client trusts, and the client's own certificate.

    Attributes:
        authority: Certificates of authorities, one of which must have signed the server's; None
            trusts those of gRPC.
        private_key: Private key of the client's certificate; None if it has none.
        certificate: Certificate of the client; None if it has none.
    """

    authority: Path | None = None
    private_key: Path | None = None
    certificate: Path | None = None

    def __post_init__(self) -> None:
        """Refuses a key without a certificate, and the reverse."""
        if (self.private_key is None) != (self.certificate is None):
            raise ServingError("a client's private key and certificate: give both or neither")

    def credentials(self) -> grpc.ChannelCredentials:
        """Returns the credentials for a secure channel.

        Raises:
            ServingError: A file cannot be read.
        """
        return grpc.ssl_channel_credentials(
            root_certificates=self.authority and _read(self.authority),
            private_key=self.private_key and _read(self.private_key),
            certificate_chain=self.certificate and _read(self.certificate),
        )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ServingError(f"{path}: {error.strerror}; expected a PEM file") from error
