"""Where the machine code is kept between runs, and whose machine code is run.

A kernel for some kinds of arguments is a file of object code, named by its symbol.  The folder is named by a hash of
every module of this package and of all else that decides the machine code, so that code of another version is never
even seen.

To read machine code is to run it: it is taken from root and from the user himself, and only where nobody
else can write.  A folder that cannot be written, or a file in it that cannot be read, costs a compilation,
no error.
"""

import contextlib
import hashlib
import importlib.util
import os
import pkgutil
import stat
import sys
import tempfile
from functools import cache
from pathlib import Path
from types import CodeType

from fastnn.kernels.machine import host
from fastnn.kernels.machine.kinds import Kind, text_of

#: How a file begins; after it come a hash of the rest, and the rest: see `code.together`.
MAGIC = b"fastnn machine code 1\n"


def contents(code):
    """All that a code object does, in the same words in every process."""
    constants = [
        contents(constant)
        if isinstance(constant, CodeType)
        else sorted(map(repr, constant))
        if isinstance(constant, frozenset)
        else repr(constant)
        for constant in code.co_consts
    ]
    return [
        code.co_name,
        code.co_code,
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
        code.co_argcount,
        code.co_kwonlyargcount,
        code.co_flags,
        constants,
    ]


def _code_of(name):
    """What Python runs when it imports this module: the bytes of a file, or of code that came in another way."""
    loader = importlib.util.find_spec(name).loader
    try:
        return loader.get_data(loader.get_filename(name))
    except (AttributeError, ImportError, OSError):  # a frozen module has no file
        return repr(contents(loader.get_code(name))).encode()


def source_hash() -> str | None:
    """A hash of every kernel's code, and of what else decides the machine code; None where the code is out of reach.

    An application may have come without sources: then it is that of the bytecode.
    """
    kernels = __package__.rpartition(".")[0]
    names = {module.name for module in pkgutil.walk_packages(sys.modules[kernels].__path__, f"{kernels}.")}
    if __name__ not in names:  # what does not list this file does not list the others
        return None
    digest = hashlib.sha256(f"{host.VERSIONS} {SETTINGS}".encode())
    try:
        for name in sorted(names | {kernels}):
            digest.update(name.encode() + b"\0" + hashlib.sha256(_code_of(name)).digest())
    except Exception:  # loaders are everybody's: whatever they raise, it is no hash
        return None
    return digest.hexdigest()[:16]


def _candidates():
    """Folders for the machine code, the best first."""
    if os.environ.get("NUMBA_CACHE_DIR"):
        yield Path(os.environ["NUMBA_CACHE_DIR"])
    home = Path(os.path.expanduser("~"))  # no absolute path where nobody knows it
    folders = {"win32": os.environ.get("LOCALAPPDATA", ""), "darwin": home / "Library" / "Caches"}
    usual = Path(folders.get(sys.platform, os.environ.get("XDG_CACHE_HOME") or home / ".cache"))
    if usual.is_absolute():
        yield usual


def _is_alone_in(group):
    """Whether nobody but root and this user is in the group: many systems give each user one of his own."""
    import grp
    import pwd

    if group == 0:
        return True
    try:
        name, user = grp.getgrgid(group), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return user.pw_gid == group and user.pw_name == name.gr_name and set(name.gr_mem) <= {user.pw_name}


def _distrust(path, status, writers=stat.S_IWGRP | stat.S_IWOTH, root=0):
    """Why a file or folder with this status might hold what another of these writers has put there; "" if it cannot."""
    if not hasattr(os, "geteuid"):  # on Windows, the usual folders are the user's alone
        return ""
    if stat.S_ISLNK(status.st_mode):
        return f"{path} is a link"
    if status.st_uid not in (0, root, os.geteuid()):
        return f"{path} belongs to another user"
    writers &= status.st_mode
    if writers & stat.S_IWOTH or (writers & stat.S_IWGRP and not _is_alone_in(status.st_gid)):
        return f"other users can write {path}"
    return ""


def _distrust_of_way(path):
    """The same of the folders that lead there.

    In one that is sticky, nobody can touch what belongs to another.  And whom the user lets write in his own, such as
    his home, he trusts with more than this.  Where root has another number (a container of a user's own), `/` is his.
    """
    root = Path(path.anchor).stat().st_uid
    for folder in reversed(path.parents):
        try:
            status = folder.stat()
        except FileNotFoundError:
            break
        is_own = hasattr(os, "geteuid") and status.st_uid == os.geteuid() != 0
        writers = 0 if status.st_mode & stat.S_ISVTX else stat.S_IWOTH | (0 if is_own else stat.S_IWGRP)
        reason = _distrust(folder, status, writers, root)
        if reason:
            return reason
    return ""


def _distrust_of_folder(path):
    """The same of a folder and of all in it."""
    status = path.lstat()
    reasons = [_distrust(path, status)]
    # Where nobody else may enter, it does not matter what the files would allow: their modes are as umask wants them.
    writers = (status.st_mode & stat.S_IXGRP and stat.S_IWGRP) | (status.st_mode & stat.S_IXOTH and stat.S_IWOTH)
    for file in os.scandir(path):
        with contextlib.suppress(FileNotFoundError):  # another process has put it under its name meanwhile
            reasons.append(_distrust(file.path, file.stat(follow_symlinks=False), writers))
    return next(filter(None, reasons), "")


def _can_write(folder):
    """Whether files can be made in the folder, which is made if need be."""
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _folders(name):
    """The folders to read from, the best first; whether the last can be written; and which others can not, and why."""
    if name is None:
        return [], False, {"machine code": "the modules of fastnn cannot be read, so that nothing tells their version"}
    user = os.geteuid() if hasattr(os, "geteuid") else "user"
    places = [place / "fastnn" for place in _candidates()]
    with contextlib.suppress(OSError):  # none can be written
        places.append(Path(tempfile.gettempdir()) / f"fastnn-{user}")
    folders, refused = [], {}
    for place in places:
        try:
            folder = place.resolve() / name
            reason = _distrust_of_way(folder.parent)  # before anything is made there
            can_write = not reason and _can_write(folder)
            if not reason:
                reason = _distrust(folder.parent, folder.parent.lstat()) or _distrust_of_folder(folder)
            if not (reason or can_write or any(folder.iterdir())):
                reason = "it is empty and cannot be written"
        except FileNotFoundError:
            reason = "it cannot be written"
        except (OSError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
        if reason:
            refused[str(place)] = reason
        else:
            folders.append(folder)
            if can_write:
                return folders, True, refused
    return folders, False, refused


#: The settings that count for the version.  A program may change them later, and gets machine code that is not kept.
SETTINGS = host.settings()
#: What the kernels are, and all else that decides the machine code.
VERSION = source_hash()
#: The folders that are read, the best first; whether the last of them can be written; and why others were refused.
FOLDERS, CAN_WRITE, REFUSED = _folders(VERSION)


@cache
def symbol(name: str, argument_kinds: tuple[Kind, ...]) -> str:
    """What a kernel is called by in machine code, for arguments of these kinds: in each version by another name."""
    words = f"{VERSION} {', '.join(map(text_of, argument_kinds))}"
    return f"{name}.{hashlib.sha256(words.encode()).hexdigest()[:16]}"


def _path(folder: Path, symbol: str) -> Path:
    return folder / f"{symbol}.o"


def read(symbol: str) -> bytes | None:
    """What is kept of a symbol; None where there is nothing that is whole."""
    for folder in FOLDERS if host.settings() == SETTINGS else []:
        with contextlib.suppress(OSError):
            data = _path(folder, symbol).read_bytes()
            code = data[len(MAGIC) + hashlib.sha256().digest_size :]
            if data == MAGIC + hashlib.sha256(code).digest() + code:
                return code
    return None


def write(symbol: str, code: bytes) -> None:
    """Keep this of a symbol, if that can be: the file has its name when it is complete."""
    if not CAN_WRITE or host.settings() != SETTINGS:
        return
    with contextlib.suppress(OSError):  # disk full, made read-only meanwhile
        descriptor, temporary = tempfile.mkstemp(dir=FOLDERS[-1])
        try:
            with open(descriptor, "wb") as file:
                file.write(MAGIC + hashlib.sha256(code).digest() + code)
            os.replace(temporary, _path(FOLDERS[-1], symbol))
        except BaseException:
            os.unlink(temporary)
            raise
