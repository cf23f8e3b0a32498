"""Secrets in text, replaced before anything leaves: values of variables that look like one, and tokens by shape."""

import copy
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import re2

from producers.wrap.logins import PATTERN as LOGINS
from producers.wrap.logins import mask_logins

MIN_SECRET_CHARACTERS = 8  # shorter values stand in too much that is no secret
MAX_SECRETS = 1_000
MAX_GAP_LINES = 50  # in a private key, that are none of its: a viewer left some out, or another program spoke
MAX_COMMAND_CHARACTERS = 4_096  # before a word, that are looked at again with it
_VALUES_MEMORY_BYTES = 128 * 1024 * 1024  # at most; RE2's default is too little for an environment of megabytes

_SECRET_NAME = re2.compile(
    r"(?i)(SECRET|TOKEN|PASSW|PASSPHRASE|PASSCODE|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CONNECTION_?STRING|BEARER"
    r"|DSN$|DATABASE_URL$|WEBHOOK_URL$|(^|_)CREDS?(_|$)|PASS(_?[0-9]+)?$|PWD$|(_|BIND|ROOT)PW$|_PAT$|(^|_)JWT$"
    r"|_KEYS?(_?[0-9]+)?$|_KEY_(B64|BASE64|DATA|HEX|JSON|PEM)$|(ACCOUNT|DEPLOY|ENCRYPTION|MASTER|SIGNING|SSH)KEY$"
    r"|_SIG$|SIGNATURE$|COOKIES?$|_AUTH$|AUTHORIZATION$|AUTH_(CONFIG|HEADER)$|MNEMONIC|^(BW|OP)_SESSION)"
)
_NO_SECRET_NAME = re2.compile(
    r"(?i)((ASK|BAND|BY|COM|HIGH|LOW|MULTI|OVER|SINGLE|SUR|TRES|UNDER)PASS(_?[0-9]+)?$|^PWD$"
    r"|(^|_)(BUILD|CURRENT|INIT|INITIAL|LAST|OLD|ORIG|ORIGINAL|PREV|PROJECT|SAVED|START|WORK)_?PWD$)"
)
_PATH_NAME = re2.compile(
    r"(?i)(_(FILE|PATH|DIR|DIRECTORY|FOLDER|HOME|SOCK|SOCKET)S?$|^GOOGLE_APPLICATION_CREDENTIALS$)"
)

_BEGIN = r"(?:\b|\\[nrt])"  # of a word, in a text whose line ends are written as \n too
_SHAPES = re2.compile(
    "|".join(
        (
            rf"(?P<aws_key>{_BEGIN}(?:AKIA|ASIA)[0-9A-Z]{{16,}})",
            rf"(?P<github_token>{_BEGIN}(?:gh[pousr]_[A-Za-z0-9]{{36,}}|github_pat_[A-Za-z0-9_]{{22,}}))",
            rf"(?P<gitlab_token>{_BEGIN}gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|oas)-[A-Za-z0-9_.-]{{20,}})",
            rf"(?P<api_key>{_BEGIN}sk-[A-Za-z0-9_-]{{20,}})",
            rf"(?P<stripe_key>{_BEGIN}(?:[rs]k_(?:live|test)_[A-Za-z0-9]{{16,}}|whsec_[A-Za-z0-9+/=]{{20,}}))",
            rf"(?P<slack_token>{_BEGIN}(?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{{10,}})",
            r"(?P<slack_webhook>hooks\.slack(?:-gov)?\.com/(?:services|triggers|workflows)/[A-Za-z0-9_/+-]{16,})",
            r"(?P<discord_webhook>discord(?:app)?\.com/api/webhooks/[0-9]+/[A-Za-z0-9_-]{16,})",
            rf"(?P<google_key>{_BEGIN}AIza[0-9A-Za-z_-]{{35,}})",
            rf"(?P<google_token>{_BEGIN}(?:ya29\.[A-Za-z0-9_-]{{20,}}|GOCSPX-[A-Za-z0-9_-]{{20,}}))",
            rf"(?P<npm_token>{_BEGIN}npm_[A-Za-z0-9]{{36,}})",
            rf"(?P<pypi_token>{_BEGIN}pypi-[A-Za-z0-9_-]{{40,}})",
            rf"(?P<huggingface_token>{_BEGIN}hf_[A-Za-z0-9]{{30,}})",
            rf"(?P<sendgrid_key>{_BEGIN}SG\.[A-Za-z0-9_-]{{16,}}\.[A-Za-z0-9_-]{{16,}})",
            rf"(?P<vault_token>{_BEGIN}hv[brs]\.[A-Za-z0-9_-]{{20,}})",
            rf"(?P<digitalocean_token>{_BEGIN}do[opr]_v1_[a-f0-9]{{32,}})",
            rf"(?P<azure_key>{_BEGIN}(?:AccountKey|SharedAccessKey)=[A-Za-z0-9+/=]{{20,}}|[?&]sig=[A-Za-z0-9%+/=_-]{{20,}})",
            r"(?P<age_key>AGE-SECRET-KEY-1[0-9A-Z]{50,})",
            rf"(?P<json_web_token>{_BEGIN}eyJ[A-Za-z0-9_-]{{8,}}\.eyJ[A-Za-z0-9_-]{{8,}}\.[A-Za-z0-9_-]{{8,}})",
            rf"(?P<bearer>(?i:{_BEGIN}authorization\\*[\"']?\s*[:=]\s*\\*[\"']?(?:bearer|basic|token)\s+)[\w.~+/=-]{{8,}})",
            rf"(?P<bearer_token>{_BEGIN}[Bb]earer\s+[\w.~+/=-]{{20,}})",
            rf"(?P<cookie>(?i:{_BEGIN}(?:set-)?cookie\\*[\"']?\s*:\s*\\*[\"']?)[A-Za-z0-9_.-]+=[^\s\"']{{8,}}[^\"']*)",
            r"(?P<password>://[^\s/:@\"]*:(?:[^\s/@]+|(?:[^\s/@\"]*[^\s/@0-9\"][^\s/@\"]*|[0-9]{6,})?/[^\s@\"]*)@)",
            r"(?P<private_key>-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*)",
        )
    )
)

_NAMES = (
    r"(?:passw(?:or)?d|passphrase|passcode|_pass|pwd|secret|token|credentials?|api[_-]?key"
    r"|(?:access|account|auth|client|encryption|functions|master|private|secret|signing|subscription)[_-]?key"
    r"|x-[a-z-]*key)"
)
_ASSIGNED = re2.compile(
    rf"(?i)(?P<before>--[a-z-]*{_NAMES}[ =]+|{_NAMES}(?:\\*[\"'])?\s*(?:=>|:=|={{1,3}}|:)\s*)"
    r"(?:\\+[\"'][^\s\"'\\]{8,}|\"[^\s\"]{8,}|'[^\s']{8,}"
    r"|[^\s\"'`,;&()<>\[\]{}\\|=:$%*][^\s\"'`,;&()<>\[\]{}\\|]{7,}(?P<call>[(\[]?))"
)
_WORDS_OF_CODE = re2.compile(r"[A-Za-z_]*[0-9]{0,3}(?:[._][A-Za-z]*[0-9]{0,3})+")
_LOOKS_SECRET = re2.Set.SearchSet()  # a third of the time of two searches, in lines without any
_LOOKS_SECRET.Add(_SHAPES.pattern)
_LOOKS_SECRET.Add(_ASSIGNED.pattern)
_LOOKS_SECRET.Add(LOGINS)
_LOOKS_SECRET.Compile()

_KEY_END = "-----END"
_MARGIN = r"^[\s>|│┃+*#\"'-]*(?:[\w./-]+[:-])?(?:[0-9]+[\s→:|│.)-]+)?[\s|│┃+\"'-]*"  # of a viewer, a search, a diff
_MARGIN_END = r"(?:\\n)?[\s\"'`,;+\\|│┃]*$"
_KEY_LINE = re2.compile(rf"{_MARGIN}(?:[A-Za-z0-9+/=]*|[A-Z][A-Za-z-]+: .*){_MARGIN_END}")
_LONG_KEY_LINE = re2.compile(rf"{_MARGIN}[A-Za-z0-9+/=]{{32,}}{_MARGIN_END}")

_NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def secret_names(environment: Mapping[str, str]) -> list[str]:
    """The variables whose values are masked: by their names, but those that only say where a secret lies."""
    return sorted(name for name, value in environment.items() if _is_secret(_shown(name), value))


def _is_secret(name: str, value: str) -> bool:
    if _SECRET_NAME.search(name) is None or _NO_SECRET_NAME.search(name) is not None:
        return False
    return not (value.startswith(("/", "~", ".")) and _PATH_NAME.search(name))


class Masker:
    """Replaces secrets, line by line, by what they are: a private key's lines to the line that ends it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        named: dict[str, str] = {}
        for name in secret_names(environment):
            for line in _shown(environment[name]).splitlines():
                text = line.strip()
                if len(text) >= MIN_SECRET_CHARACTERS:
                    named.setdefault(text, _shown(name))
        longest_first = sorted(named, key=len, reverse=True)[:MAX_SECRETS]
        self._names = {text: named[text] for text in longest_first}
        self._values = _any_of(longest_first) if longest_first else None
        self._key_lines = 0  # that may be none of the key's until it is over

    def __call__(self, line: str) -> str:
        line = _shown(line)
        if self._key_lines and self._is_of_key(line):
            return "[masked: private_key]"
        if self._values is not None:
            line = self._values.sub(lambda found: f"[masked: {self._names[found.group(0)]}]", line)
        if _LOOKS_SECRET.Match(line):
            line = mask_logins(_ASSIGNED.sub(_assigned, _SHAPES.sub(self._shape, line)))
        return line

    def text(self, text: str) -> str:
        """A text of several lines, each with the end that it had; what came before it does not matter."""
        mask = copy.copy(self)
        mask._key_lines = 0  # noqa: SLF001 - a copy of our own
        lines = text.splitlines(keepends=True)
        ends = [line[len(line.splitlines()[0]) :] for line in lines]
        return "".join(mask(line.removesuffix(end)) + end for line, end in zip(lines, ends, strict=True))

    def words(self, command: Sequence[str]) -> list[str]:
        """A command's words: one that is a secret behind those before it, as for `sshpass -p`, is masked too."""
        masked, line = [], ""
        for word in command:
            before, quoted = line if len(line) < MAX_COMMAND_CHARACTERS else "", shlex.quote(word)
            line = self.text(f"{before} {quoted}" if before else quoted)
            of_it = line.removeprefix(before).removeprefix(" ")
            is_known = of_it == quoted or not line.startswith(before)
            masked.append(self.text(word) if is_known else of_it.strip("'"))
        return masked

    def _is_of_key(self, line: str) -> bool:
        """Whether a line goes on with the key that began above; after others, only what can hardly be a word."""
        if _KEY_END in line:
            self._key_lines = 0
            return True
        expected = _KEY_LINE if self._key_lines == MAX_GAP_LINES else _LONG_KEY_LINE
        if expected.search(line):
            self._key_lines = MAX_GAP_LINES
            return True
        self._key_lines -= 1
        return False

    def _shape(self, found: Any) -> str:
        name, text = found.lastgroup, found.group(0)
        if name == "private_key":
            self._key_lines = 0 if _KEY_END in text else MAX_GAP_LINES
        if name == "password":
            user = text.removeprefix("://").partition(":")[0]
            return f"://{user}:[masked: password]@"
        line_end = text[:2] if text.startswith("\\") else ""
        return f"{line_end}[masked: {name}]"


class NoMasker:
    """Leaves every line as it is."""

    def __call__(self, line: str) -> str:
        return line

    def text(self, text: str) -> str:
        """The text as it is."""
        return text

    def words(self, command: Sequence[str]) -> list[str]:
        """The words as they are."""
        return list(command)


def _any_of(texts: list[str]) -> Any:
    options = re2.Options()
    options.max_mem = _VALUES_MEMORY_BYTES
    return re2.compile("|".join(map(re2.escape, texts)), options)


def _assigned(found: Any) -> str:
    """What is given to a name that means a secret, unless it reads like code or a place."""
    before, whole = found.group("before"), found.group(0)
    rest = whole.removeprefix(before)
    value = rest.lstrip("\\\"'")
    quote = rest.removesuffix(value)
    is_setting = before.isupper() and before.endswith("=")
    is_code = not quote and (found.group("call") or (not is_setting and _WORDS_OF_CODE.fullmatch(value)))
    is_place = "://" in value or value.startswith(("${", "{", "<"))
    is_place = is_place or (value.startswith(("/", "~")) and "pwd" in before.lower())
    if is_code or is_place or not (any(map(str.isdigit, value)) and any(map(str.isalpha, value))):
        return str(whole)
    return f"{before}{quote}[masked: secret]"


def _shown(text: str) -> str:
    """As a terminal's lines have it: bytes that are no UTF-8, kept by Python as surrogates, become U+FFFD."""
    if text.isascii():
        return text
    return _NO_BYTE.sub("\ufffd", text).encode(errors="surrogateescape").decode(errors="replace")
