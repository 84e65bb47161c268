"""Certificates for tests: an authority, and certificates for 127.0.0.1 that it has signed."""

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """One, good for a day.

    Attributes:
        certificate: its own file, in PEM.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = folder / f"{name}.pem"
        own = self._builder(self._name, self._key).add_extension(
            x509.BasicConstraints(True, 0), critical=True
        )
        self._write(own, self.certificate)

    def issue(self, name: str) -> tuple[Path, Path]:
        """A certificate for servers and clients, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        local = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        certificate, private = self._folder / f"{name}.pem", self._folder / f"{name}-key.pem"
        self._write(self._builder(subject, key).add_extension(local, critical=False), certificate)
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return certificate, private

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        day = datetime.timedelta(days=1)
        return x509.CertificateBuilder(
            self._name, subject, key.public_key(), x509.random_serial_number(), now - day, now + day
        )

    def _write(self, builder: x509.CertificateBuilder, file: Path) -> None:
        signed = builder.sign(self._key, hashes.SHA256())
        file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
