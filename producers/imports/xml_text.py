"""XML that test runners wrote: read as it is, or, where it is not XML for a few characters, with those replaced."""

import re
import sys
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from producers.account import Remark
from producers.imports.imported import Unreadable
from producers.storable import REPLACEMENT

_CDATA = re.compile(r"(<!\[CDATA\[.*?\]\]>)", re.DOTALL)
_DECLARED = re.compile(rb"""<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z0-9._-]+)""")
_DECLARATION = re.compile(r"\s*<\?xml.*?\?>", re.DOTALL)
_NO_CHARACTER = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_REFERENCE = re.compile(r"&#(?:([0-9]{1,7})|x([0-9a-fA-F]{1,6}));")


def tree(content: bytes, name: str) -> tuple[Element, list[Remark]]:
    """The root, its tags without namespaces, and what had to be replaced. Raises Unreadable."""
    try:
        root, remarks = _parsed(content), []
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        mended, count = _mended(content)
        try:
            root = _parsed(mended)
        except (ParseError, DefusedXmlException, ValueError, LookupError):
            raise Unreadable(f"{name} is not XML that can be read: {error}"[:300]) from None
        reason = "are shown as U+FFFD: XML does not have them"
        remarks = [Remark("the file", "characters", str(count), reason)] if count else []
    for element in root.iter():
        if element.tag.startswith("{"):
            element.tag = element.tag.rpartition("}")[2]
    return root, remarks


def _parsed(content: bytes | str) -> Element:
    root: Element = fromstring(content, forbid_dtd=True)
    return root


def _mended(content: bytes) -> tuple[str, int]:
    """The text without its declaration, characters that XML does not have replaced; how many those were."""
    declared = _DECLARED.match(content.lstrip()[:200])
    encoding = declared[1].decode() if declared else "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    try:
        written = content.decode(encoding, "replace")
    except LookupError:
        written = content.decode("utf-8", "replace")
    count = written.count(REPLACEMENT) - content.count(REPLACEMENT.encode())
    written = _DECLARATION.sub("", written.removeprefix("\ufeff"), count=1).strip()
    written, replaced = _NO_CHARACTER.subn(REPLACEMENT, written)
    parts = _CDATA.split(written)
    for place in range(0, len(parts), 2):
        parts[place], more = _references_replaced(parts[place])
        replaced += more
    return "".join(parts), max(count, 0) + replaced


def _references_replaced(text: str) -> tuple[str, int]:
    count = 0

    def shown(found: re.Match[str]) -> str:
        nonlocal count
        code = int(found[1]) if found[1] else int(found[2], 16)
        if code <= sys.maxunicode and not _NO_CHARACTER.match(chr(code)):
            return found[0]
        count += 1
        return REPLACEMENT

    return _REFERENCE.sub(shown, text), count
