"""Read SAIF, the counts of value changes that a simulation writes: one signal at a time, whatever the file's size.

with SaifFile(Path("run.saif")) as saif:
    for signal in saif: signal.scope, signal.name, signal.bits, signal.toggles
    saif.duration_ps
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TextIO

_TOKEN = re.compile(r'"[^"]*"|[()]|(?:\\.|[^\s()"\\])+')
_INDEX = re.compile(r"(.*?)\\?\[(\d+)\\?\]$")
_ELEMENT = re.compile(r"(.+)\[(\d+)\]$")
_MEMORY = 4  # elements from which an array is a memory
_UNITS_PS = {"fs": 1e-3, "ps": 1.0, "ns": 1e3, "us": 1e6, "ms": 1e9, "s": 1e12}


class SaifError(ValueError):
    """A file that is no SAIF; one line with the file and the line."""


@dataclass(frozen=True)
class Signal:
    """A signal of one scope over the counted time.

    scope: instances from the top, without the signal. bits: that were in the file. toggles: value changes, summed over
    the bits. high: file's time units at 1, summed over the bits. is_alias: another name of a net listed before
    (the file's PORT; hw/sim/saif.cpp lists every net once in NET, at the outermost scope that has it).
    """

    scope: tuple[str, ...]
    name: str
    bits: int
    toggles: int
    high: int
    is_alias: bool


class SaifFile:
    """A SAIF file, iterable once; ``duration`` (in ``unit_ps``) is known from the first signal on."""

    def __init__(self, path: Path) -> None:
        """Open ``path``. Raises SaifError if it cannot be read or does not begin as SAIF does."""
        self.path, self.duration, self.unit_ps = path, 0, 1.0
        self._number = 0
        try:
            self._file: TextIO = path.open()
        except OSError as error:
            raise SaifError(f"{path}: cannot be read ({error.strerror}); trace a simulation to a .saif file") from error
        self._tokens = self._read_tokens()
        if self._next() != "(" or self._next().upper() != "SAIFILE":
            self.close()
            raise SaifError(f"{path}: not SAIF, expected (SAIFILE first")

    def __enter__(self) -> SaifFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def duration_ps(self) -> float:
        """Return the counted time."""
        return self.duration * self.unit_ps

    def __iter__(self) -> Iterator[Signal]:
        """Yield the signals in the file's order, its bits put together. Raises SaifError."""
        scope: list[str] = []
        while True:
            token = self._next()
            if token == ")":
                if not scope:
                    return
                scope.pop()
                continue
            if token != "(":
                raise self._error(f"expected ( or ), got {token}")
            keyword = self._next().upper()
            if keyword == "INSTANCE":
                name = self._next()
                scope.append(self._next() if name.startswith('"') else name)  # "module" name
            elif keyword in ("NET", "PORT"):
                yield from self._signals(tuple(scope), keyword == "PORT")
            else:
                self._header(keyword)

    def _header(self, keyword: str) -> None:
        words = self._words()
        try:
            if keyword == "DURATION":
                self.duration = int(float(words[0]))
            elif keyword == "TIMESCALE":
                found = re.fullmatch(r"(\d+)\s*([fpnum]?s)", " ".join(words))
                if found is None:
                    raise ValueError
                self.unit_ps = int(found[1]) * _UNITS_PS[found[2]]
        except (ValueError, IndexError) as error:
            raise self._error(f"{keyword}: expected a number, got {' '.join(words) or 'nothing'}") from error

    def _words(self) -> list[str]:
        """Return what is left of a list, inner lists flattened."""
        words, depth = [], 1
        while depth:
            token = self._next()
            depth += {"(": 1, ")": -1}.get(token, 0)
            words += [token] if token not in "()" else []
        return words

    def _signals(self, scope: tuple[str, ...], is_alias: bool) -> Iterator[Signal]:
        name, bits, toggles, high = "", 0, 0, 0
        while (token := self._next()) != ")":
            if token != "(":
                raise self._error(f"expected ( before a signal, got {token}")
            whole = self._next()
            found = _INDEX.match(whole)
            stem = found[1] if found else whole
            if stem != name or not found:
                if bits:
                    yield Signal(scope, _plain(name), bits, toggles, high, is_alias)
                name, bits, toggles, high = stem, 0, 0, 0
            counts = self._words()
            values = dict(zip(counts[::2], counts[1::2], strict=False))
            try:
                bits, toggles, high = bits + 1, toggles + int(values["TC"]), high + int(values.get("T1", 0))
            except (KeyError, ValueError) as error:
                raise self._error(f"{_plain(whole)}: expected a whole (TC n), got {' '.join(counts)}") from error
        if bits:
            yield Signal(scope, _plain(name), bits, toggles, high, is_alias)

    def _read_tokens(self) -> Iterator[str]:
        for number, line in enumerate(self._file, 1):
            self._number = number
            yield from _TOKEN.findall(line.split("//", 1)[0] if "//" in line else line)

    def _next(self) -> str:
        token = next(self._tokens, None)
        if token is None:
            raise self._error("ends within a list; the simulation was cut off")
        return token

    def _error(self, what: str) -> SaifError:
        return SaifError(f"{self.path}:{self._number}: {what}")


def _plain(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name)


def without_memories(signals: Sequence[Signal]) -> Iterator[tuple[Signal, str]]:
    """Yield the signals of one scope with their names, an array's without index, but for the contents of memories.

    An array of four elements or more is taken for a memory: RAM, ROM, or a shift register in LUTs.
    """
    found = [_ELEMENT.match(signal.name) for signal in signals]
    elements = Counter(match[1] for match in found if match)
    for signal, match in zip(signals, found, strict=True):
        name = match[1] if match else signal.name
        if not match or elements[name] < _MEMORY:
            yield signal, name


def totals(path: Path) -> dict[str, tuple[int, int]]:
    """Return scope (names joined by /) -> (bits, toggles) of all nets in it and below, each counted once.

    Other names of a net (PORT) are left out, the top's clock is not. Raises SaifError.
    """
    sums: dict[str, tuple[int, int]] = {}
    with SaifFile(path) as saif:
        for signal in saif:
            if signal.is_alias:
                continue
            for depth in range(1, len(signal.scope) + 1):
                scope = "/".join(signal.scope[:depth])
                bits, toggles = sums.get(scope, (0, 0))
                sums[scope] = bits + signal.bits, toggles + signal.toggles
    return sums
