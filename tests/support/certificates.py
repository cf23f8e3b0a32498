"""Certificates for one test session, made by the command `openssl`."""

import subprocess
from pathlib import Path
from typing import NamedTuple

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
DAYS = "2"


class Certificate(NamedTuple):
    """PEM files; `both` holds the key and then the certificate, as Java reads them."""

    certificate: Path
    key: Path
    both: Path


class Authority:
    """Signs certificates; `certificate` is what those who trust it are given."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder / name
        self._folder.mkdir(parents=True)
        self.certificate, self._key = self._folder / "ca.pem", self._folder / "ca.key"
        _openssl(
            *("req", "-x509", *KEY, "-days", DAYS, "-subj", f"/CN={name}"),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),  # without it Python 3.13 trusts nobody
            *("-keyout", self._key, "-out", self.certificate),
        )

    def issue(self, name: str, *also: str) -> Certificate:
        """A certificate of `name`, good for the alternative names in `also`, such as DNS:a.test or IP:127.0.0.1."""
        made = Certificate(*(self._folder / f"{name}.{suffix}" for suffix in ("pem", "key", "both.pem")))
        request, extensions = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        names = f"subjectAltName={','.join(also)}\n" if also else ""
        extensions.write_text(f"authorityKeyIdentifier=keyid\n{names}")
        _openssl("req", "-new", *KEY, "-subj", f"/CN={name}", "-keyout", made.key, "-out", request)
        _openssl(
            *("x509", "-req", "-in", request, "-days", DAYS, "-extfile", extensions, "-out", made.certificate),
            *("-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial"),
        )
        made.both.write_text(made.key.read_text() + made.certificate.read_text())
        return made


def _openssl(*arguments: str | Path) -> None:
    try:
        done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise AssertionError("these tests make certificates with `openssl`: install it and try again") from None
    assert done.returncode == 0, done.stderr
