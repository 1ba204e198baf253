"""Certificates for the Storage API: the Spark connector's gRPC channel speaks TLS only.

A certificate authority of our own signs one server certificate; clients trust the authority through `ca.pem`
(Python, curl) or `truststore.p12` (Java). All files stay in one directory and are used again while they are good.
"""

import ipaddress
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# Java wants a password on a truststore; this one protects nothing, the file holds a public certificate.
TRUSTSTORE_PASSWORD = "changeit"  # noqa: S105
DEFAULT_NAMES = ("localhost", "127.0.0.1")
LIFETIME = timedelta(days=3650)
RENEW_BEFORE = timedelta(days=30)


@dataclass(frozen=True)
class TlsFiles:
    """Paths of what a server and its clients need."""

    ca: Path
    truststore: Path
    certificate: Path
    key: Path


def tls_files(directory: Path) -> TlsFiles:
    """Where the files lie in `directory`, made or not."""
    return TlsFiles(
        directory / "ca.pem", directory / "truststore.p12", directory / "server.pem", directory / "server-key.pem"
    )


def ensure_tls(directory: Path, names: Sequence[str] = DEFAULT_NAMES) -> TlsFiles:
    """Make the authority, the truststore and a certificate for `names` (host names and IP addresses) where missing.

    An authority that is still good is kept, so that clients which already trust it go on working.
    """
    directory.mkdir(parents=True, exist_ok=True)
    files = tls_files(directory)
    ca_key_file = directory / "ca-key.pem"
    now = datetime.now(UTC)
    authority = _load(files.ca, ca_key_file)
    if authority is None or _expires_soon(authority[0], now):
        authority = _make_authority(now)
        _write(ca_key_file, _pem(authority[1]), mode=0o600)
        _write(files.ca, authority[0].public_bytes(serialization.Encoding.PEM))
    ca, ca_key = authority
    truststore = pkcs12.serialize_java_truststore(
        [pkcs12.PKCS12Certificate(ca, b"user-analytics")],
        serialization.BestAvailableEncryption(TRUSTSTORE_PASSWORD.encode()),
    )
    if not _trusts(files.truststore, ca):
        _write(files.truststore, truststore)
    server = _load(files.certificate, files.key)
    if (
        server is None
        or _expires_soon(server[0], now)
        or not _signed_by(server[0], ca)
        or not _covers(server[0], names)
    ):
        certificate, key = _make_server(ca, ca_key, names, now)
        _write(files.key, _pem(key), mode=0o600)
        _write(files.certificate, certificate.public_bytes(serialization.Encoding.PEM))
    return files


Pair = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def _make_authority(now: datetime) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "user-analytics emulator CA")])
    certificate = (
        _builder(name, name, key, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def _make_server(ca: x509.Certificate, ca_key: ec.EllipticCurvePrivateKey, names: Sequence[str], now: datetime) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bigquery-emulator")])
    certificate = (
        _builder(subject, ca.subject, key, now)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()),
            critical=False,
        )
        .sign(ca_key, hashes.SHA256())
    )
    return certificate, key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # clients' clocks may be behind
        .not_valid_after(now + LIFETIME)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _load(certificate_file: Path, key_file: Path) -> Pair | None:
    """The pair as stored, or None when a part is missing, damaged or not the other's."""
    try:
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or certificate.public_key() != key.public_key():
        return None
    return certificate, key


def _expires_soon(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_after_utc - now < RENEW_BEFORE


def _signed_by(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(ca)
    except (InvalidSignature, ValueError):
        return False
    return True


def _covers(certificate: x509.Certificate, names: Sequence[str]) -> bool:
    alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return all(_general_name(name) in alternatives for name in names)


def _trusts(truststore: Path, ca: x509.Certificate) -> bool:
    try:
        stored = pkcs12.load_pkcs12(truststore.read_bytes(), TRUSTSTORE_PASSWORD.encode())
    except (FileNotFoundError, ValueError):
        return False
    return any(entry.certificate == ca for entry in stored.additional_certs)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replace the file whole, so that a start that is killed leaves no half certificate."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).replace(path)
