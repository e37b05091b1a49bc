"""Read a table as people have it: a CSV file of any dialect, or a Parquet file; whole or in pieces.

CleverCSV finds the separator where there is a choice, Python's csv reads the fields.  Every field of a CSV file is kept
as text, as it is written: what a column is, is decided later and once (see `decisions`), not by a reader for each file
anew.

What can be said of the whole file alone, its encoding, its longest row and which columns hold nothing, is found out
before the first row is given away, by going through it: so it is the same wherever a piece ends.
"""

from __future__ import annotations

import codecs
import csv
import io
import math
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .columns import TableError, listed, number
from .frames import Frame

if TYPE_CHECKING:  # pandas takes a quarter of a second to import: who predicts a CSV file need not wait
    import pandas as pd

ROWS = 4096  # of a piece: whole vectors of them, and more than `training.prediction.FEW`, or sums are others
AT_ONCE = 512  # rows of a CSV file whose fields become columns: more are not in the caches by then
CHUNK = 2**20  # bytes that are read at a time
IN_MEMORY = 2**25  # bytes of a pipe that are kept there; more go to a temporary file
SEPARATORS = ",;\t|"
SAMPLE = 20_000  # characters that CleverCSV looks at: its time grows with them, and it has settled long before
NO_SEPARATOR = "\x1f"  # of a file of one column: ASCII's own separator of fields, which nobody uses
MOST_NAMES = 100_000  # names of rows that are compared: memory holds no more
NAMED = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "blanks"}


@dataclass
class Table:
    """A table as it was read.

    Of a CSV file, each column holds text as written, without blanks around it, or None where there was nothing.
    Of a Parquet file, what it holds. The rows are numbered from 1: row 3 is the third below the heading.

    Parameters
    ----------
    data : Frame or pandas.DataFrame
        The columns, of a CSV file without pandas.
    notes : list of str
        What a user should know, a sentence each.
    same_names : dict of str to str
        Columns whose name another one had before, such as {"y.1": "y"}.

    Attributes
    ----------
    frame : pandas.DataFrame
        The same.
    """

    data: Frame | pd.DataFrame
    notes: list[str] = field(default_factory=list)
    same_names: dict[str, str] = field(default_factory=dict)

    @cached_property
    def frame(self) -> pd.DataFrame:
        if not isinstance(self.data, Frame):
            return self.data
        import pandas as pd

        columns = {name: self.data.column(j) for j, name in enumerate(self.data.names)}
        return pd.DataFrame(columns, pd.Index(self.data.rows), dtype=object)

    def __len__(self) -> int:
        return len(self.data.rows if isinstance(self.data, Frame) else self.data)


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
    [table] = _tables(path, separator, decimal, sys.maxsize)
    return table


def pieces(
    path: str | os.PathLike[str], *, separator: str | None = None, decimal: str | None = None
) -> Iterator[Table]:
    """Read a file as `read` does, some thousand rows at a time: it may be larger than memory.

    The pieces, one below the other, are what `read` returns. The file is gone through first, for what is to be known of
    all of it; a pipe is copied to a temporary file for that, unless it is small.

    Parameters
    ----------
    path, separator, decimal
        As those of `read`.

    Yields
    ------
    Table
        Its frame has the next rows. The list of notes is the same in all, and complete after the last one.

    Raises
    ------
    TableError
        The file is no table. A quotation mark that is not closed, or damage in a Parquet file, is found on the way.

    Examples
    --------
    >>> from fastnn.tables import pieces
    >>> sum(len(piece.frame) for piece in pieces("flowers.csv"))  # doctest: +SKIP
    """
    return _tables(path, separator, decimal, ROWS)


def _tables(path: str | os.PathLike[str], separator: str | None, decimal: str | None, rows: int) -> Iterator[Table]:
    if separator is not None and (len(separator) != 1 or separator in '"\r\n'):
        raise TableError(f"separator is {separator!r}, but one character is wanted, such as ';'")
    if decimal not in (None, ".", ","):
        raise TableError(f"decimal is {decimal!r}, but '.' or ',' is wanted")
    name = "standard input" if str(path) == "-" else str(path)
    notes: list[str] = []
    same_names: dict[str, str] = {}
    n = 0
    with _opened(path, name) as opened:
        file = _File(opened, name)
        if not any(chunk.strip() for chunk in file.chunks()):
            raise TableError(f"{name} is empty")
        is_parquet = file.start()[:4] == b"PAR1"
        if is_parquet and separator is not None:
            raise TableError(f"{file.name} is a Parquet file, which has no separator: leave it out")
        blocks = _parquet(file, rows) if is_parquet else _csv(file, separator, decimal, notes, rows)
        for block in _grouped(blocks, rows):
            if not n:
                names, same_names = _unique([str(column) for column in block.columns])
                if same_names:
                    twice = listed(dict.fromkeys(same_names.values()))
                    notes.append(f"several columns are called {twice}: the later ones are {listed(same_names)} here")
            numbers = range(n + 1, n + len(block) + 1)
            if isinstance(block, _Texts):
                data: Any = Frame(names, True, numbers, cache(block.array))
            else:
                data = block.set_axis(names, axis="columns").set_axis(numbers, axis="index")
            yield Table(data, notes, same_names)
            n += len(block)
    if not n:
        raise TableError(f"{name} has no rows below its heading")


@dataclass
class _Texts:
    """Some rows of a CSV file: names of the columns, and of each the texts, None where there is nothing."""

    columns: list[str]
    texts: list[list[str | None]]

    def __len__(self) -> int:
        return len(self.texts[0]) if self.texts else 0

    def __getitem__(self, rows: slice) -> _Texts:
        return _Texts(self.columns, [texts[rows] for texts in self.texts])

    def array(self, j: int) -> NDArray[Any]:
        return np.array([*self.texts[j], None], object)[:-1]


def _joined(blocks: list[Any]) -> Any:
    """The rows of all blocks, one below the other."""
    if len(blocks) == 1:
        return blocks[0]
    if isinstance(blocks[0], _Texts):
        texts = [list(chain.from_iterable(parts)) for parts in zip(*(block.texts for block in blocks), strict=True)]
        return _Texts(blocks[0].columns, texts)
    import pandas as pd

    return pd.concat(blocks, ignore_index=True)


def _grouped(blocks: Iterable[Any], rows: int) -> Iterator[Any]:
    """The same rows, so many in each block; more, and less than twice as many, in the last."""
    held: list[Any] = []
    n = 0
    for block in filter(len, blocks):
        held.append(block)
        n += len(block)
        if n >= 2 * rows:
            held = [_joined(held)]
            while n >= 2 * rows:
                yield held[0][:rows]
                held, n = [held[0][rows:]], n - rows
    if n:
        yield _joined(held)


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


@contextmanager
def _opened(path: str | os.PathLike[str], name: str) -> Iterator[IO[bytes]]:
    """A file, or a copy of what a pipe gives, that can be read more than once."""
    if str(path) != "-" and Path(path).is_dir():
        raise TableError(f"{name} is a folder, but a file is wanted")
    if str(path) == "-" and sys.stdin is None:
        raise TableError("the table is -, but standard input is closed")
    with ExitStack() as stack:
        try:
            file: IO[bytes] = sys.stdin.buffer if str(path) == "-" else stack.enter_context(Path(path).open("rb"))
        except FileNotFoundError:
            raise TableError(f"no such file: {name}") from None
        except OSError as error:
            raise TableError(f"{name} cannot be read: {error.strerror}") from None
        if not file.seekable():
            copy = stack.enter_context(tempfile.SpooledTemporaryFile(IN_MEMORY))
            try:
                shutil.copyfileobj(file, copy, CHUNK)
            except OSError as error:
                raise TableError(f"{name} cannot be copied to {tempfile.gettempdir()}: {error.strerror}") from None
            copy.seek(0)
            file = copy
        yield file


class _File:
    """What an open file holds, decompressed, from its beginning as often as it is asked for."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self.file, self.name, self.place = file, name, file.tell()
        magic = file.read(8)
        self.unpack = next((unpack for mark, unpack in _COMPRESSED.items() if magic.startswith(mark)), None)

    def chunks(self) -> Iterator[bytes]:
        self.file.seek(self.place)
        try:
            yield from filter(None, (self.unpack or _read)(self.file))
        except TableError as error:
            raise TableError(f"{self.name} {error}") from None
        except ImportError as error:
            raise TableError(f"{self.name} is compressed: reading it takes {error.name}") from None
        except Exception as error:  # each library has its own
            if not self.unpack:
                raise TableError(f"{self.name} cannot be read: {error}") from None
            raise TableError(f"{self.name} is compressed, and damaged or cut short ({error})") from None

    def start(self) -> bytes:
        """The first 100,000 bytes."""
        start = b""
        for chunk in self.chunks():
            start += chunk
            if len(start) >= 100_000:
                break
        return start[:100_000]

    def bad_line(self, encoding: str) -> int:
        """The first line that is not of this encoding; 0 if there is none."""
        decoder = codecs.getincrementaldecoder(encoding)()
        line = 1
        for chunk in chain(self.chunks(), [b""]):
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                return line + error.object.count(b"\n", 0, error.start)
            line += chunk.count(b"\n")
        return 0

    def lines(self, encoding: str, first: int = 1) -> Iterator[str]:
        """The lines from this one on, each with its end, without what is blank at the end of the file."""
        return islice(self._lines(encoding), first - 1, None)

    def _lines(self, encoding: str) -> Iterator[str]:
        decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)(), translate=True)
        rest: list[str] = []
        for chunk in chain(self.chunks(), [b""]):
            rest.append(decoder.decode(chunk, final=not chunk))
            if "\n" in rest[-1]:
                text = "".join(rest)
                end = text.rfind("\n", 0, len(text.rstrip("\n "))) + 1
                yield from io.StringIO(text[:end])
                rest = [text[end:]]
        yield from io.StringIO("".join(rest).rstrip("\n ") + "\n")


def _read(file: IO[bytes]) -> Iterator[bytes]:
    return iter(partial(file.read, CHUNK), b"")


def _unzip(file: IO[bytes]) -> Iterator[bytes]:
    import zipfile

    with zipfile.ZipFile(file) as archive:
        names = [entry for entry in archive.namelist() if not entry.endswith("/") and not entry.startswith("__MACOSX")]
        if "xl/workbook.xml" in names:
            raise TableError("is an Excel workbook: save the sheet as CSV, and give that file")
        if len(names) != 1:
            raise TableError(f"holds {len(names)} files ({listed(names, 3)}), but a table is one: unpack it first")
        with archive.open(names[0]) as entry:
            yield from _read(entry)


def _unzstd(file: IO[bytes]) -> Iterator[bytes]:
    from zstandard import ZstdDecompressor  # whose streams do not tell when the end is missing

    unpack = ZstdDecompressor().decompressobj()
    for data in _read(file):
        while data:
            unpack = ZstdDecompressor().decompressobj() if unpack.eof else unpack
            yield unpack.decompress(data)
            data = unpack.unused_data if unpack.eof else b""
    if not unpack.eof:
        raise EOFError("its end is missing")


def _unpack(module: str) -> Callable[[IO[bytes]], Iterator[bytes]]:
    def unpack(file: IO[bytes]) -> Iterator[bytes]:
        from importlib import import_module

        with import_module(module).open(file) as stream:
            yield from _read(stream)

    return unpack


_COMPRESSED: dict[bytes, Callable[[IO[bytes]], Iterator[bytes]]] = {
    b"\x1f\x8b": _unpack("gzip"),
    b"BZh": _unpack("bz2"),
    b"\xfd7zXZ\x00": _unpack("lzma"),
    b"\x28\xb5\x2f\xfd": _unzstd,
    b"PK\x03\x04": _unzip,
}


def _encoding(file: _File, notes: list[str]) -> str:
    """How the characters of a file are written, and a note unless it is plain UTF-8."""
    start = file.start()
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig")):
        if start.startswith(mark) and not file.bad_line(encoding):
            return encoding
    if start[:6] == b"ARROW1" or b"\0" in start:
        raise TableError(f"{file.name} is no text and no Parquet file: a table is wanted as CSV or Parquet")
    line = file.bad_line("utf-8")
    if not line:
        return "utf-8"
    notes.append(f"{file.name} is not UTF-8 (line {line}): read as Windows-1252")
    return "latin-1" if file.bad_line("cp1252") else "cp1252"


def _parquet(file: _File, rows: int) -> Iterator[pd.DataFrame]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise TableError(f"{file.name}: reading Parquet files takes pyarrow (pip install pyarrow)") from None
    import pandas as pd

    # A whole number is one also where another is missing, in whichever piece.
    types = {pa.int64(): pd.Int64Dtype(), pa.uint64(): pd.UInt64Dtype()}
    n = 0
    with ExitStack() as stack:
        opened = file.file
        if file.unpack:  # the end of a Parquet file is read first
            opened = stack.enter_context(tempfile.SpooledTemporaryFile(IN_MEMORY))
            opened.writelines(file.chunks())
        try:
            # Dates beyond 2262 that Spark or Hive wrote would come as others, in silence, in the default unit.
            parquet = pq.ParquetFile(opened, coerce_int96_timestamp_unit="us", buffer_size=CHUNK)
            is_small = parquet.metadata.num_rows <= rows
            batches = [parquet.read()] if is_small else map(pa.Table.from_batches, zip(parquet.iter_batches(rows)))
            for batch in batches:
                frame = batch.to_pandas(types_mapper=types.get)
                for index in (batch.schema.pandas_metadata or {}).get("index_columns", []):
                    if isinstance(index, dict):  # of the whole file
                        first, step = index["start"] + n * index["step"], index["step"]
                        last = first + len(frame) * step
                        frame.index = pd.RangeIndex(first, last, step, name=index["name"])
                n += len(frame)
                yield frame.reset_index() if any(name is not None for name in frame.index.names) else frame
        except Exception as error:  # Arrow has many
            after = f" after row {n:,}" if n else ""
            raise TableError(f"{file.name} cannot be read{after}: {str(error).strip().splitlines()[0]}") from None


# ---- CSV ----


@dataclass
class _Record:
    """One record of a CSV file: its fields, the line of the file on which it begins, and the one after it."""

    line: int
    end: int
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


def _csv(file: _File, separator: str | None, decimal: str | None, notes: list[str], rows: int) -> Iterator[_Texts]:
    name, encoding = file.name, _encoding(file, notes)
    text = file.start().decode(encoding, "ignore")[:1000].lstrip().lower()
    for start, kind in _FOREIGN.items():
        if text.startswith(start):
            raise TableError(f"{name} is {kind}: a table is wanted as CSV or Parquet")
    line, comment, told = _skip_comments(file.lines(encoding), notes)
    separator = separator or told or _separator(_beginning(file.lines(encoding, line)), comment, decimal)

    def lines(first: int) -> Iterator[str]:
        found = file.lines(encoding, first)
        return (row.strip() + "\n" for row in found) if separator == " " else found  # aligned by several

    heading = _heading(lines(line), separator, line, comment, name, notes)
    shape = _check_widths(lines, separator, heading, name, notes)
    names = {j: text.strip() for j, text in enumerate(heading.fields, shape.row_names)}
    if shape.row_names:
        notes.append("the first column has no heading, as R writes the names of rows: left out")
    if n := len(shape.empty):
        notes.append(f"{n} column{'s' if n > 1 else ''} without heading and values: left out")
    columns = {j: text for j, text in names.items() if j not in shape.empty}
    _check_heading([*columns.values()], name)
    fields = _fields(lines(heading.end), separator, shape.widest, name, shape.last)
    blocks = _texts(fields, columns, AT_ONCE)
    yield from _trimmed(blocks, notes) if len(names) > 1 else blocks


_FOREIGN = {
    "<!doctype html": "a web page",
    "<html": "a web page",
    "<?xml": "XML",
    "@relation": "an ARFF file",
    "[{": "JSON",
    '{"': "JSON",
    "%pdf": "a PDF file",
}


def _skip_comments(lines: Iterable[str], notes: list[str]) -> tuple[int, str, str | None]:
    """Go to the first line that is neither empty nor a comment.

    Returns its number, the last comment above it, and the separator that a line such as sep=; tells.
    """
    line, comment, told, first = 0, "", None, 0
    for line, text in enumerate(lines, 1):
        found = re.fullmatch(r'"?sep=(.)"?', text.rstrip("\n"), re.IGNORECASE)
        if found:
            told = found[1]
        elif text.startswith("#"):
            comment, first = text[1:].strip(), first or line
        elif text.strip(" \t,;|\n"):
            break
    else:
        line += 1
    if comment:
        last = line - 1
        notes.append(f"line {first} is a comment" if first == last else f"lines {first} to {last} are comments")
    return line, comment, told


def _beginning(lines: Iterable[str]) -> str:
    """The first SAMPLE characters."""
    text = ""
    for row in lines:
        text += row
        if len(text) >= SAMPLE:
            break
    return text[:SAMPLE]


def _separator(sample: str, comment: str, decimal: str | None) -> str:
    """What stands between the fields."""
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
    if len(candidates) == 1 and candidates[0] in heading:
        return candidates[0]
    if candidates:
        import clevercsv  # now: it takes a tenth of a second

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


def _heading(lines: Iterable[str], separator: str, line: int, comment: str, name: str, notes: list[str]) -> _Record:
    """Read the heading, and what stands above it: titles of one cell, over a table of more."""
    records = list(islice(_records(lines, separator, line, name), 200))
    if not records:
        return _Record(line, sys.maxsize, next(csv.reader([comment], delimiter=separator)))
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
        notes.pop()  # the heading itself is marked as a comment
        return _Record(line - 1, line, named)
    return first


def _is_number(text: str, decimal: str = ".") -> bool:
    return not math.isnan(number(text.strip(), decimal))


def _records(lines: Iterable[str], separator: str, line: int, name: str) -> Iterator[_Record]:
    """The records of these lines, of which the first has this number, without empty ones."""
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
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
            yield _Record(begin, line + reader.line_num, fields)


@dataclass
class _Shape:
    """What is known of the rows below a heading once all have been seen."""

    widest: int  # fields of the longest one, with empty ones behind the last column
    row_names: bool  # whether the first field of each is its name
    last: int  # the line on which the last one begins
    empty: set[int]  # the fields that have no heading, and nothing in any row


def _check_widths(
    lines: Callable[[int], Iterable[str]], separator: str, heading: _Record, name: str, notes: list[str]
) -> _Shape:
    """Go through all records, and refuse those that are too long."""
    n_named = len(heading.fields)
    widest, n, n_short, n_one_more = n_named, 0, 0, 0
    row_names, divided = set[str](), set(range(n_named))
    short = long = last = _Record(0, 0, [])
    more_filled = has_twice = False
    unnamed = {j for j, text in enumerate(heading.fields) if not text.strip()}
    empty = unnamed | {j + 1 for j in unnamed}  # whether the first are names of rows, is known at the end
    for record in _records(lines(heading.end), separator, heading.end, name):
        n, last = n + 1, record
        width = len(record.fields)
        widest = max(widest, width)
        if empty:
            empty -= {j for j in empty if j < width and record.fields[j].strip()}
        if width < n_named:
            n_short, short = n_short + 1, short if n_short else record
        elif width > n_named:
            n_one_more += width == n_named + 1
            if len(row_names) < MOST_NAMES and not has_twice:
                has_twice = record.fields[0] in row_names
                row_names.add(record.fields[0])
            divided &= record.divided(separator) if divided else divided
            more_filled = more_filled or bool(record.fields[-1].strip())
            if not long.line and any(text.strip() for text in record.fields[n_named:]):
                long = record
    if more_filled and n_one_more == n and not has_twice:
        quoted = all(text.startswith('"') for text in lines(heading.end) if text != "\n")
        # R quotes names, unless told not to: then no number or text in all rows may be the one that is divided.
        is_apart = separator == " " or not any(f"{separator} " in text for text in lines(heading.end))
        if quoted or (not divided and is_apart):
            return _Shape(widest, True, last.line, empty & {j + 1 for j in unnamed})
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
    return _Shape(widest, False, last.line, empty & unnamed)


def _fields(lines: Iterable[str], separator: str, width: int, name: str, last: int) -> Iterator[list[str]]:
    """The fields of all rows of these lines, empty ones behind the last of a short row."""
    line, n, is_at_end = "", 0, False

    def watched() -> Iterator[str]:
        nonlocal line, n, is_at_end
        for line in lines:
            n += 1
            yield line
        is_at_end = True

    before = 0
    for fields in csv.reader(watched(), delimiter=separator, skipinitialspace=True):
        if is_at_end:  # more lines were asked for
            raise TableError(f"{name}, line {last}: a quotation mark is opened and not closed")
        is_blank = n == before + 1 and len(fields) < 2 and not line.strip(" \t\n")
        before = n
        if not is_blank or width == 1:  # of one column, it is a row whose value is missing
            yield fields if len(fields) == width else fields + [""] * (width - len(fields))


def _texts(rows: Iterator[list[str]], columns: dict[int, str], n: int) -> Iterator[_Texts]:
    """These columns with their names, so many rows at a time, without blanks around texts."""
    while block := list(islice(rows, n)):
        found, fields = [], [*zip(*block, strict=True)]
        for j in columns:
            texts = fields[j]
            known = {text: text.strip() or None for text in set(texts)}
            found.append(list(map(known.__getitem__, texts)))
        yield _Texts([*columns.values()], found)


def _trimmed(blocks: Iterable[_Texts], notes: list[str]) -> Iterator[_Texts]:
    """The rows up to the last one that holds something."""
    n_empty = 0
    for block in blocks:
        filled = (i for i in reversed(range(len(block))) if any(texts[i] is not None for texts in block.texts))
        n = next(filled, -1) + 1
        if n:
            for at in range(0, n_empty, len(block)):
                yield _Texts(block.columns, [[None] * min(len(block), n_empty - at)] * len(block.columns))
            yield block[:n]
            n_empty = 0
        n_empty += len(block) - n
    if n_empty:
        notes.append(f"{n_empty:,} empty row{'s' if n_empty > 1 else ''} at the end: left out")
