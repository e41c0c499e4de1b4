"""A function's declaration in the text of a C header."""

from __future__ import annotations

import re

from softjac._errors import CandidateError

__all__ = ["find", "without_comments"]

_DEEPEST = 8  # typedefs of typedefs


def find(source: str, symbol: str) -> str:
    """The declaration of a symbol in the text of a header, the header's own types spelled out.

    Raises:
        CandidateError: there is none.
    """
    text = re.sub(r"^\s*#.*$", "", without_comments(source), flags=re.MULTILINE)
    nested = r"\((?:[^()]|\([^()]*\))*\)"
    for match in re.finditer(rf"([^;{{}}]*?)\b{re.escape(symbol)}\s*({nested})", text):
        before, parameters = match.groups()
        before = re.sub(r"\bextern\s*\"C\"", "", before).strip()
        # what stands before the name is a type: anything else makes it a call
        if re.fullmatch(r"[\w\s*()\"]+", before) and not re.search(r"\breturn\b", before):
            return _spelled_out(f"{before} {symbol}{parameters}", text)
    raise CandidateError(f"the header declares no function {symbol}")


def without_comments(text: str) -> str:
    """C without its comments."""
    return re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.DOTALL)


def _spelled_out(declaration: str, header: str) -> str:
    """A declaration in which the header's simple typedefs are replaced by what they mean."""
    for _ in range(_DEEPEST):
        before = declaration
        for word in dict.fromkeys(re.findall(r"[A-Za-z_]\w*", declaration)):
            named = rf"\b{re.escape(word)}\s*;"
            simple = re.search(rf"\btypedef\s+([^;{{}}()]*?){named}", header)
            enumeration = re.search(rf"\btypedef\s+enum\b[^;{{}}]*\{{[^}}]*\}}\s*{named}", header)
            if simple or enumeration:
                meaning = "int" if enumeration or not simple else simple.group(1).strip()
                declaration = re.sub(rf"\b{re.escape(word)}\b", meaning, declaration)
        if declaration == before:
            break
    return declaration
