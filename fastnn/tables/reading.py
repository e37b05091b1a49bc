"""Read a table as people have it: a CSV file of any dialect, or a Parquet file.

CleverCSV finds the separator, pandas reads the fields.  Every field of a CSV file is kept as text, as it is written:
what a column is, is decided later and once (see `decisions`), not by a reader for each file anew.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from .columns import TableError, listed, number

if TYPE_CHECKING:  # pandas takes half a second to import: a user of arrays need not wait, nor install it
    import pandas as pd

SEPARATORS = ",;\t|"
SAMPLE = 20_000  # characters that CleverCSV looks at: its time grows with them, and it has settled long before
NO_SEPARATOR = "\x1f"  # of a file of one column: ASCII's own separator of fields, which nobody uses
NAMED = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "blanks"}


@dataclass
class Table:
    """A table as it was read.

    Parameters
    ----------
    frame : pandas.DataFrame
        Of a CSV file, each column holds text as written, without blanks around it, or None where there was nothing.
        Of a Parquet file, what it holds. The rows are numbered from 1: row 3 is the third below the heading.
    notes : list of str
        What a user should know, a sentence each.
    same_names : dict of str to str
        Columns whose name another one had before, such as {"y.1": "y"}.
    """

    frame: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    same_names: dict[str, str] = field(default_factory=dict)


def read(path: str | os.PathLike[str], *, separator: str | None = None, decimal: str | None = None) -> Table:
    """Read a CSV file (compressed or not) or a Parquet file.

    Parameters
    ----------
    path : path
        A file, a pipe such as /dev/stdin or that of `<(...)` in a shell, or - for standard input.
    separator : str, default=None
        What stands between the fields of a CSV file. None: a comma, semicolon, tab or bar, as the file shows; blanks,
        if it holds none of them.
    decimal : {None, ".", ","}, default=None
        The decimal mark. With a comma, the fields of a file with other separators are not divided at commas.

    Raises
    ------
    TableError
        The file is no table. The message names the file, the line, and what to do.

    Examples
    --------
    >>> from fastnn.tables import read
    >>> read("flowers.csv").frame  # doctest: +SKIP
    """
    if separator is not None and (len(separator) != 1 or separator in '"\r\n'):
        raise TableError(f"separator is {separator!r}, but one character is wanted, such as ';'")
    if decimal not in (None, ".", ","):
        raise TableError(f"decimal is {decimal!r}, but '.' or ',' is wanted")
    name = "standard input" if str(path) == "-" else str(path)
    data = _bytes(path, name)
    if not data.strip():
        raise TableError(f"{name} is empty")
    if data[:4] == b"PAR1":
        table = Table(_parquet(data, name))
    else:
        text, notes = _text(data, name)
        table = Table(_csv(text, name, separator, decimal, notes), notes)
        _check_heading(list(table.frame.columns), name)
    frame = table.frame
    if frame.empty:
        raise TableError(f"{name} has no rows below its heading")
    names, table.same_names = _unique([str(column) for column in frame.columns])
    if table.same_names:
        twice = listed(dict.fromkeys(table.same_names.values()))
        table.notes.append(f"several columns are called {twice}: the later ones are {listed(table.same_names)} here")
    table.frame = frame.set_axis(names, axis="columns").set_axis(range(1, len(frame) + 1), axis="index")
    return table


def _check_heading(names: list[str], name: str) -> None:
    """Raise a TableError if the first line holds numbers, unless they count the columns or rise as a spectrum's."""
    if not names or not all(_is_number(text) for text in names):
        return
    x = [number(text) for text in names]
    rising = all(a < b for a, b in pairwise(x))
    counting = x in ([*map(float, range(len(x)))], [*map(float, range(1, len(x) + 1))])
    if not counting and not (rising and len(x) > 10):
        raise TableError(
            f"{name} seems to have no heading: its first line is {listed(names, 5)}; "
            "write a line with the names of the columns above it"
        )


def _unique(names: list[str]) -> tuple[list[str], dict[str, str]]:
    """As pandas does it: y, y.1, y.2; without a name, Unnamed: 3 is the fourth."""
    names = [name or f"Unnamed: {i}" for i, name in enumerate(names)]
    taken, unique, same = set(names), list[str](), dict[str, str]()
    seen: set[str] = set()
    for name in names:
        new, i = name, 0
        while new in seen or (i and new in taken):
            i += 1
            new = f"{name}.{i}"
        if new != name:
            same[new] = name
        seen.add(new)
        unique.append(new)
    return unique, same


# ---- bytes and characters ----


def _bytes(path: str | os.PathLike[str], name: str) -> bytes:
    """What the file holds, decompressed."""
    if str(path) == "-":
        data = sys.stdin.buffer.read()
    else:
        if Path(path).is_dir():
            raise TableError(f"{name} is a folder, but a file is wanted")
        try:
            data = Path(path).read_bytes()
        except FileNotFoundError:
            raise TableError(f"no such file: {name}") from None
        except OSError as error:
            raise TableError(f"{name} cannot be read: {error.strerror}") from None
    for magic, opened in _COMPRESSED.items():
        if data.startswith(magic):
            try:
                return opened(data)
            except TableError as error:
                raise TableError(f"{name} {error}") from None
            except ImportError as error:
                raise TableError(f"{name} is compressed: reading it takes {error.name}") from None
            except Exception as error:  # each library has its own
                raise TableError(f"{name} is compressed, and damaged or cut short ({error})") from None
    return data


def _unzip(data: bytes) -> bytes:
    import zipfile

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = [entry for entry in archive.namelist() if not entry.endswith("/") and not entry.startswith("__MACOSX")]
        if "xl/workbook.xml" in names:
            raise TableError("is an Excel workbook: save the sheet as CSV, and give that file")
        if len(names) != 1:
            raise TableError(f"holds {len(names)} files ({listed(names, 3)}), but a table is one: unpack it first")
        return archive.read(names[0])


def _unpack(module: str) -> Callable[[bytes], bytes]:
    def unpack(data: bytes) -> bytes:
        from importlib import import_module

        return import_module(module).decompress(data)

    return unpack


_COMPRESSED: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": _unpack("gzip"),
    b"BZh": _unpack("bz2"),
    b"\xfd7zXZ\x00": _unpack("lzma"),
    b"\x28\xb5\x2f\xfd": _unpack("zstandard"),
    b"PK\x03\x04": _unzip,
}


def _text(data: bytes, name: str) -> tuple[str, list[str]]:
    """The characters of a file, and a note unless they are plain UTF-8."""
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig")):
        if data.startswith(mark):
            try:
                return data.decode(encoding), []
            except UnicodeDecodeError:
                break
    if data[:6] == b"ARROW1" or b"\0" in data[:100_000]:
        raise TableError(f"{name} is no text and no Parquet file: a table is wanted as CSV or Parquet")
    try:
        return data.decode("utf-8"), []
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        try:
            text = data.decode("cp1252")
        except UnicodeDecodeError:
            text = data.decode("latin-1")
        return text, [f"{name} is not UTF-8 (line {line}): read as Windows-1252"]


def _parquet(data: bytes, name: str) -> pd.DataFrame:
    try:
        import pyarrow.parquet as pq
    except ImportError:
        raise TableError(f"{name}: reading Parquet files takes pyarrow (pip install pyarrow)") from None
    try:
        # Dates beyond 2262 that Spark or Hive wrote would come as others, in silence, in the default unit.
        frame = pq.read_table(io.BytesIO(data), coerce_int96_timestamp_unit="us").to_pandas()
    except Exception as error:  # Arrow has many
        raise TableError(f"{name} cannot be read: {str(error).strip().splitlines()[0]}") from None
    return frame.reset_index() if any(name is not None for name in frame.index.names) else frame


# ---- CSV ----


@dataclass
class _Record:
    """One record of a CSV file: its fields, and the line of the file on which it begins."""

    line: int
    fields: list[str]

    @property
    def n_filled(self) -> int:
        return sum(1 for text in self.fields if text.strip())

    def holds_number(self) -> bool:
        return any(_is_number(text, mark) for text in self.fields for mark in ".,")

    def divided(self, separator: str) -> set[int]:
        """The fields that may be one with the next: a number such as 1,5 or an escaped comma, without quotes."""
        return {
            j
            for j, (text, after) in enumerate(pairwise(self.fields))
            if text.endswith("\\") or any(text and _is_number(text + separator + after, mark) for mark in ".,")
        }


def _csv(text: str, name: str, separator: str | None, decimal: str | None, notes: list[str]) -> pd.DataFrame:
    text = text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n ") + "\n"
    for start, kind in _FOREIGN.items():
        if text[:1000].lstrip().lower().startswith(start):
            raise TableError(f"{name} is {kind}: a table is wanted as CSV or Parquet")
    stream = io.StringIO(text)
    line, comment, told = _skip_comments(stream, notes)
    separator = separator or told or _separator(text[stream.tell() : stream.tell() + SAMPLE], comment, decimal)
    if separator == " ":  # the columns may be aligned by several
        rest = "\n".join(row.strip() for row in text[stream.tell() :].split("\n"))
        stream = io.StringIO(rest)

    heading = _heading(stream, separator, line, comment, name, notes)
    place = stream.tell()
    n_named = len(heading.fields)
    widest, row_names, last = _check_widths(stream, separator, heading, name, notes)
    stream.seek(place)
    frame = _fields(stream, separator, widest, name, last)
    names = [field.strip() for field in heading.fields]
    if row_names:
        notes.append("the first column has no heading, as R writes the names of rows: left out")
        frame = frame.iloc[:, 1:]
    return _filled(frame.iloc[:, :n_named], names, notes)


_FOREIGN = {
    "<!doctype html": "a web page",
    "<html": "a web page",
    "<?xml": "XML",
    "@relation": "an ARFF file",
    "[{": "JSON",
    '{"': "JSON",
    "%pdf": "a PDF file",
}


def _skip_comments(stream: io.StringIO, notes: list[str]) -> tuple[int, str, str | None]:
    """Go to the first line that is neither empty nor a comment.

    Returns its number, the last comment above it, and the separator that a line such as sep=; tells.
    """
    line, comment, told, first = 1, "", None, 0
    while True:
        place = stream.tell()
        text = stream.readline()
        found = re.fullmatch(r'"?sep=(.)"?', text.rstrip("\n"), re.IGNORECASE)
        if found:
            told = found[1]
        elif text.startswith("#"):
            comment, first = text[1:].strip(), first or line
        elif text.strip(" \t,;|\n") or not text:
            stream.seek(place)
            break
        line += 1
    if comment:
        last = line - 1
        notes.append(f"line {first} is a comment" if first == last else f"lines {first} to {last} are comments")
    return line, comment, told


def _separator(sample: str, comment: str, decimal: str | None) -> str:
    """What stands between the fields."""
    import clevercsv

    sample = sample[: sample.rfind("\n") + 1] or sample
    joined = re.sub(_QUOTED, lambda found: found[0].replace("\n", " "), sample)
    lines = [line for line in joined.split("\n") if line.strip()]
    heading = _without_quoted(lines[0] if lines else comment)
    below = _without_quoted("\n".join(lines[1:] or lines))
    candidates = [mark for mark in SEPARATORS if mark in below]
    if decimal == "," and "," not in heading:
        candidates = [mark for mark in candidates if mark != ","]
    others = set(candidates) & set(heading) - {","}
    if others and (decimal == "," or not re.search(r",\S", below)):  # of numbers, or of texts
        candidates = [mark for mark in candidates if mark != ","]
    if candidates:
        try:
            dialect = clevercsv.Sniffer().sniff(sample, delimiters="".join(candidates))
        except clevercsv.Error:
            dialect = None
        found = dialect.delimiter if dialect else ""
        # Of a table of one column, the texts or decimal commas are no fields; but R names rows, and not their column.
        r_names = all(line.startswith('"') for line in lines)
        if found and (found in heading or r_names or _is_below_titles(lines, found)):
            return found
        inside = [mark for mark in candidates if mark in heading]
        if inside:
            return max(inside, key=heading.count)
    blanks = [len(next(csv.reader([line.strip()], delimiter=" ", skipinitialspace=True))) for line in lines]
    named = len(lines) > 1 and (blanks[0] == blanks[1] or (blanks[0] == blanks[1] - 1 and lines[1].startswith('"')))
    if named and blanks[1] > 1 and set(blanks[1:]) == {blanks[1]}:
        if all(re.search(r"(^| )[-+]?[\d.,]+([eE][-+]?\d+)?( |$)", line) for line in lines[1:]):
            return " "
    return NO_SEPARATOR


def _is_below_titles(lines: list[str], separator: str) -> bool:
    """Whether the first lines without a separator stand above a table of three columns at least."""
    counts = [_without_quoted(line).count(separator) for line in lines]
    below = counts[next(i for i, n in enumerate(counts) if n) :] if any(counts) else []
    return len(below) > 1 and set(below) == {below[0]} and below[0] > 1


_QUOTED = re.compile(r'(?<![^,;\t| \n])"[^"]*"')


def _without_quoted(text: str) -> str:
    return re.sub(_QUOTED, "", text)


def _heading(stream: io.StringIO, separator: str, line: int, comment: str, name: str, notes: list[str]) -> _Record:
    """Read the heading, and what stands above it: titles of one cell, over a table of more."""
    records: list[_Record] = []
    places = []
    place = stream.tell()
    for record in islice(_records(stream, separator, line, name), 200):
        records.append(record)
        places.append(stream.tell())
    if not records:
        return _Record(line, next(csv.reader([comment], delimiter=separator)))
    widths = [len(record.fields) for record in records]
    usual = max(set(widths[1:] or widths), key=widths.count)
    skipped = next((i for i, record in enumerate(records) if record.n_filled > 1), 0)
    if records[skipped].n_filled < min(3, usual) or records[skipped].holds_number():
        skipped = 0
    if skipped:
        notes.append(f"skipped above the heading: {listed((r.fields[0] for r in records[:skipped] if r.n_filled), 3)}")
    first = records[skipped]
    named = next(csv.reader([comment], delimiter=separator, skipinitialspace=True)) if comment else []
    if len(named) == usual and len(named) > 1 and all(_is_number(text) for text in first.fields if text.strip()):
        stream.seek(place)  # the heading itself is marked as a comment
        notes.pop()
        return _Record(line - 1, named)
    stream.seek(places[skipped])
    return first


def _is_number(text: str, decimal: str = ".") -> bool:
    return not math.isnan(number(text.strip(), decimal))


def _records(stream: io.StringIO, separator: str, line: int, name: str) -> Iterator[_Record]:
    """The records from here on, without empty lines."""
    reader = csv.reader(iter(stream.readline, ""), delimiter=separator, skipinitialspace=True)
    while True:
        begin = line + reader.line_num
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error:
            message = (
                f"{name}, line {begin}: a text of more than 131,072 characters; a quotation mark that is not closed?"
            )
            raise TableError(message) from None
        if fields and (len(fields) > 1 or fields[0].strip()):
            yield _Record(begin, fields)


def _check_widths(
    stream: io.StringIO, separator: str, heading: _Record, name: str, notes: list[str]
) -> tuple[int, bool, int]:
    """Refuse records that are too long.

    Returns the number of fields of the longest one (with empty fields behind the last column), whether the first field
    of each is the name of the row, and the line on which the last one begins.
    """
    n_named = len(heading.fields)
    widest, n, n_short, n_one_more = n_named, 0, 0, 0
    row_names, divided = set[str](), set(range(n_named))
    below = stream.getvalue()[stream.tell() :]
    short = long = last = _Record(0, [])
    more_filled = False
    line = heading.line + 1 + sum(text.count("\n") for text in heading.fields)
    for record in _records(stream, separator, line, name):
        n, last = n + 1, record
        width = len(record.fields)
        widest = max(widest, width)
        if width < n_named:
            n_short, short = n_short + 1, short if n_short else record
        elif width > n_named:
            n_one_more += width == n_named + 1
            row_names.add(record.fields[0])
            divided &= record.divided(separator) if divided else divided
            more_filled = more_filled or bool(record.fields[-1].strip())
            if not long.line and any(text.strip() for text in record.fields[n_named:]):
                long = record
    if more_filled and n_one_more == n == len(row_names):
        quoted = all(text.startswith('"') for text in below.split("\n") if text)
        # R quotes names, unless told not to: then no number or text in all rows may be the one that is divided.
        if quoted or not (divided or (separator != " " and f"{separator} " in below)):
            return widest, True, last.line
    if long.line:
        between = NAMED.get(separator, repr(separator))
        raise TableError(
            f"{name}, line {long.line}: {len(long.fields)} fields between {between}, but the heading has {n_named}; "
            "put quotation marks around a text or number that holds the separator, or name another one with "
            "--separator"
        )
    if n_short:
        notes.append(
            f"{n_short:,} row{'s have' if n_short > 1 else ' has'} fewer fields than the heading (first: line "
            f"{short.line}): the last columns are missing there"
        )
    return widest, False, last.line


def _fields(stream: io.StringIO, separator: str, width: int, name: str, last: int) -> pd.DataFrame:
    """All fields below the heading, as texts."""
    import pandas as pd

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                stream,
                sep=separator,
                header=None,
                names=range(width),
                index_col=False,
                dtype=object,
                na_filter=False,
                skipinitialspace=True,
                skip_blank_lines=width > 1,  # of one column, it is a row whose value is missing
            )
    except pd.errors.EmptyDataError:
        return pd.DataFrame(columns=range(width), dtype=object)
    except (ValueError, pd.errors.ParserWarning) as error:
        message = str(error).strip()
        if "EOF inside string" in message:
            raise TableError(f"{name}, line {last}: a quotation mark is opened and not closed") from None
        raise TableError(f"{name} cannot be read: {message.splitlines()[0]}") from None


def _filled(frame: pd.DataFrame, names: list[str], notes: list[str]) -> pd.DataFrame:
    """The columns with their names, without blanks around texts; what holds nothing at all is left out."""
    import pandas as pd

    columns = {}
    empty = 0
    for j, name in enumerate(names):
        texts = frame.iloc[:, j].tolist()
        known = {text: text.strip() or None for text in set(texts)}
        if not name and not any(known.values()):
            empty += 1
            continue
        columns[j] = pd.Series(list(map(known.__getitem__, texts)), dtype=object)
    if empty:
        notes.append(f"{empty} column{'s' if empty > 1 else ''} without heading and values: left out")
    table = pd.DataFrame(columns)
    filled = table.notna().any(axis=1).to_numpy()
    n = int(filled.nonzero()[0][-1]) + 1 if filled.any() else 0
    if frame.shape[1] == 1:
        n = len(filled)
    if n < len(filled):
        notes.append(f"{len(filled) - n:,} empty row{'s' if len(filled) - n > 1 else ''} at the end: left out")
    return table.iloc[:n].set_axis([names[j] for j in columns], axis="columns")
