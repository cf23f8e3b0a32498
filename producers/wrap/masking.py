"""Secrets in text, replaced before anything leaves: values of variables that look like one, and tokens by shape."""

from collections.abc import Mapping
from typing import Any

import re2

MIN_SECRET_CHARACTERS = 8  # shorter values stand in too much that is no secret
MAX_SECRETS = 1_000
_SECRET_NAME = re2.compile(
    r"(?i)(SECRET|TOKEN|PASSW|PASSPHRASE|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|_KEY$|_AUTH$|_PAT$|DSN$|DATABASE_URL$)"
)
_TOKENS = (
    r"(?P<aws_key>\b(?:AKIA|ASIA)[0-9A-Z]{16}\b)",
    r"(?P<github_token>\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255})\b)",
    r"(?P<gitlab_token>\bglpat-[A-Za-z0-9_-]{20,64}\b)",
    r"(?P<api_key>\bsk-[A-Za-z0-9_-]{20,200})",
    r"(?P<slack_token>\bxox[abeoprs]-[A-Za-z0-9-]{10,250})",
    r"(?P<google_key>\bAIza[0-9A-Za-z_-]{35}\b)",
    r"(?P<npm_token>\bnpm_[A-Za-z0-9]{36}\b)",
    r"(?P<huggingface_token>\bhf_[A-Za-z0-9]{30,50}\b)",
    r"(?P<json_web_token>\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,})",
    r"(?P<bearer>(?i:\bauthorization:\s*(?:bearer|basic|token)\s+)[A-Za-z0-9+/=._~-]{8,})",
    r"(?P<password>://[^\s/:@]{1,100}:[^\s/@]{1,200}@)",
    r"(?P<private_key>-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*)",
)
_SHAPES = re2.compile("|".join(_TOKENS))
_KEY_END = "-----END"
_KEY_LINE = re2.compile(r"^\s*(?:[A-Za-z0-9+/=]{1,128}|[A-Z][A-Za-z-]+: .*)?\s*$")


def secret_names(environment: Mapping[str, str]) -> list[str]:
    """The variables whose values are masked."""
    return sorted(name for name in environment if _SECRET_NAME.search(name))


class Masker:
    """Replaces secrets, line by line, by what they are: a private key's lines to the line that ends it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        named: dict[str, str] = {}
        for name in secret_names(environment):
            for line in environment[name].splitlines():
                text = line.strip()
                if len(text) >= MIN_SECRET_CHARACTERS and not text.startswith("/"):
                    named.setdefault(text, name)
        longest_first = sorted(named, key=len, reverse=True)[:MAX_SECRETS]
        self._names = {text: named[text] for text in longest_first}
        self._values = re2.compile("|".join(map(re2.escape, longest_first))) if longest_first else None
        self._in_key = False

    def __call__(self, line: str) -> str:
        if self._in_key:
            is_end = _KEY_END in line
            if is_end or _KEY_LINE.search(line):
                self._in_key = not is_end
                return "[masked: private_key]"
            self._in_key = False
        if self._values is not None:
            line = self._values.sub(lambda found: f"[masked: {self._names[found.group(0)]}]", line)
        masked: str = _SHAPES.sub(self._shape, line)
        return masked

    def _shape(self, found: Any) -> str:
        name: str = found.lastgroup
        if name == "private_key":
            self._in_key = _KEY_END not in found.group(0)
        if name == "password":
            return f"{found.group(0).rpartition(':')[0]}:[masked: password]@"
        return f"[masked: {name}]"


class NoMasker:
    """Leaves every line as it is."""

    def __call__(self, line: str) -> str:
        return line
