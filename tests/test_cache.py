"""Machine code: kept between processes, never stale, never another user's, never in the way."""

import compileall
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import fastnn
from fastnn import system
from fastnn.kernels.machine import cache

ROOT = Path(fastnn.__file__).parents[1]

#: A kernel that compiles in a moment, and says whether it had to.
PROGRAM = """
import numpy as np
from fastnn.kernels.machine import code
code.WATCHERS.append((compiled := []).append)
row_sums = code.entry("passes.row_sums")
row_sums(np.ones((2, 16)), out := np.zeros((1, 2)))
assert (out == 16).all()
print(1 - len(compiled), len(compiled))
"""


def output(program, package=ROOT, **environment):
    """What the program prints, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(package), **environment}
    got = subprocess.run(
        [sys.executable, "-c", program],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        env={name: value for name, value in environment.items() if value is not None},
    )
    assert got.returncode == 0, got.stderr
    return got.stdout.strip()


def hits_and_misses(folder, package=ROOT, before="", **environment):
    return output(before + PROGRAM, package, NUMBA_CACHE_DIR=str(folder), **environment)


@pytest.fixture
def package(tmp_path):
    """A copy of the package, to be changed."""
    shutil.copytree(
        ROOT / "fastnn", tmp_path / "package" / "fastnn", symlinks=False, ignore=shutil.ignore_patterns("__pycache__")
    )
    return tmp_path / "package"


def change(package):
    """Make a new version of the package, with other code in a kernel file that `row_sums` does not import."""
    with (package / "fastnn" / "kernels" / "laws" / "losses.py").open("a") as file:
        file.write("\n\ndef new():\n    return lambda x: x + 1\n")


def without_sources(package):
    """Leave bytecode alone in the package, as applications are shipped."""
    compileall.compile_dir(package, quiet=1, legacy=True, force=True)
    for source in package.rglob("*.py"):
        source.unlink()


def test_a_second_process_does_not_compile(tmp_path):
    assert hits_and_misses(tmp_path) == "0 1"
    assert hits_and_misses(tmp_path) == "1 0"


def test_two_processes_may_fill_a_folder_at_once(tmp_path):
    both = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            cwd="/",
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path)},
        )
        for _ in range(2)
    ]
    assert {process.communicate()[0].strip() for process in both} <= {"0 1", "1 0"}
    assert [process.returncode for process in both] == [0, 0]
    assert hits_and_misses(tmp_path) == "1 0"


def test_a_change_in_any_kernel_file_is_other_machine_code(tmp_path, package):
    assert hits_and_misses(tmp_path, package) == "0 1"
    change(package)
    assert hits_and_misses(tmp_path, package) == "0 1"


def test_every_kernel_file_counts(package):
    files = sorted((package / "fastnn" / "kernels").rglob("*.py"))
    program = f"""
from pathlib import Path
from fastnn.kernels.machine import cache
print(cache.source_hash())
for file in map(Path, {[str(file) for file in files]!r}):
    text = file.read_text()
    file.write_text(text + "#")
    print(cache.source_hash())
    file.write_text(text)
"""
    hashes = output(program, package).split()
    assert len(hashes) == len(set(hashes)) == len(files) + 1


def test_an_application_without_sources_never_runs_machine_code_of_another_version(tmp_path, package):
    sources = shutil.copytree(package, tmp_path / "sources")
    for version in "one", "two":
        without_sources(package)
        assert hits_and_misses(tmp_path / "cache", package) == "0 1", version
        assert hits_and_misses(tmp_path / "cache", package) == "1 0", version
        shutil.rmtree(package)
        shutil.copytree(sources, package)
        change(package)


@pytest.mark.parametrize("sources", [True, False])
def test_a_package_in_a_zip_never_runs_machine_code_of_another_version(tmp_path, package, sources):
    for version in "one", "two":
        whole = shutil.copytree(package, tmp_path / version)
        if not sources:
            without_sources(whole)
        file = shutil.make_archive(str(tmp_path / version), "zip", whole)
        assert hits_and_misses(tmp_path / "cache", file) == "0 1", version
        assert hits_and_misses(tmp_path / "cache", file) == "1 0", version
        change(package)


#: Modules that come from no file, as in an executable: their loader has code, or (`{code}`) not even that.
FROZEN = """
import importlib.abc, importlib.machinery, importlib.util, sys
from pathlib import Path

class Loader(importlib.abc.InspectLoader):
    def __init__(self, file):
        self.file = file

    def get_source(self, name):
        raise ImportError("there are no sources")

    def get_code(self, name):
        if not {code} and "source_hash" in sys._getframe(2).f_code.co_name:
            raise ImportError("nor code")
        return compile(self.file.read_bytes(), f"<frozen {{name}}>", "exec")

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        file = Path({package!r}, *name.split(".")).with_suffix(".py")
        if name.startswith("fastnn.kernels.") and file.exists():
            return importlib.util.spec_from_loader(name, Loader(file))

sys.meta_path.insert(0, Finder())
"""


def test_code_that_comes_from_no_file_is_told_apart(tmp_path, package):
    frozen = FROZEN.format(code=True, package=str(package))
    assert hits_and_misses(tmp_path / "cache", package, frozen) == "0 1"
    assert hits_and_misses(tmp_path / "cache", package, frozen, PYTHONHASHSEED="7") == "1 0"
    change(package)
    assert hits_and_misses(tmp_path / "cache", package, frozen) == "0 1"


def test_code_that_nobody_can_read_is_not_kept(tmp_path, package):
    frozen = FROZEN.format(code=False, package=str(package))
    asked = "\nfrom fastnn import system_info; print(system_info()['cache_folder'], system_info()['cache'])"
    said = output(frozen + PROGRAM + asked, package, NUMBA_CACHE_DIR=str(tmp_path / "cache")).splitlines()
    assert said[0] == "0 1"
    assert said[1].startswith("None none can be used")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    "changed",
    [
        lambda x: x + 2,
        lambda x: x - 1,
        lambda x: abs(x),
        lambda x, y=1: x + 1,
        lambda x: (lambda: x + 1)(),
        lambda x: x in {"a", "b"},
    ],
)
def test_the_words_for_code_tell_all_that_it_does(changed):
    assert cache.contents(changed.__code__) != cache.contents((lambda x: x + 1).__code__)
    assert cache.contents(changed.__code__) == cache.contents(changed.__code__.replace(co_filename="elsewhere"))


def test_damaged_machine_code_is_compiled_anew(tmp_path):
    hits_and_misses(tmp_path)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert files
    for damage in (lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"garbage" + data):
        for file in files:
            file.write_bytes(damage(file.read_bytes()))
        assert hits_and_misses(tmp_path) == "0 1"
    assert hits_and_misses(tmp_path) == "1 0"


SWITCHES = [
    {},
    {"NUMBA_OPT": "1"},
    {"NUMBA_OPT": "max"},
    {"NUMBA_BOUNDSCHECK": "1"},
    {"NUMBA_LOOP_VECTORIZE": "0"},
    {"NUMBA_SLP_VECTORIZE": "1"},
    {"NUMBA_DEBUGINFO": "1"},
    {"NUMBA_LLVM_REFPRUNE_PASS": "0"},
    {"NUMBA_CPU_NAME": "generic"},  # as if the folder were shared with another kind of machine
]


def test_numbas_switches_have_machine_code_of_their_own(tmp_path):
    program = "from fastnn.kernels.machine import cache; print(cache.FOLDERS[0])"
    folders = {output(program, NUMBA_CACHE_DIR=str(tmp_path), **switch) for switch in SWITCHES}
    assert len(folders) == len(SWITCHES)


@pytest.mark.parametrize("switch", ["NUMBA_OPT=0", "NUMBA_OPT=1", "NUMBA_BOUNDSCHECK=1", "NUMBA_DEBUGINFO=1"])
def test_kernels_run_with_numbas_switches(tmp_path, switch):
    assert hits_and_misses(tmp_path, **dict([switch.split("=")])) == "0 1"
    assert hits_and_misses(tmp_path) == "0 1"


def test_a_switch_that_the_program_turns_later_leaves_nothing_behind(tmp_path):
    turn = "import numba; from fastnn.kernels.machine import cache; numba.config.OPT = 1\n"
    assert hits_and_misses(tmp_path, before=turn) == "0 1"
    assert hits_and_misses(tmp_path) == "0 1"
    assert hits_and_misses(tmp_path, before=turn) == "0 1"


def test_no_other_locator_of_numbas_takes_the_place(tmp_path):
    locator = {"NUMBA_CACHE_LOCATOR_CLASSES": "UserWideCacheLocator", "XDG_CACHE_HOME": str(tmp_path / "other")}
    assert hits_and_misses(tmp_path / "cache", **locator) == "0 1"
    assert hits_and_misses(tmp_path / "cache", **locator) == "1 0"
    assert not (tmp_path / "other").exists()


def test_nowhere_to_write_costs_a_compilation_and_no_error(tmp_path):
    file = tmp_path / "file"
    file.touch()  # no folder can be made below a file, not even by root
    nowhere = dict.fromkeys(["NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HOME", "TMPDIR", "LOCALAPPDATA"], str(file))
    program = (
        f"import tempfile; tempfile.tempdir = {str(file)!r}"
        + PROGRAM
        + "from fastnn.kernels.machine import cache; print(cache.FOLDERS)"
    )
    assert output(program, **nowhere).split() == ["0", "1", "[]"]


@pytest.mark.skipif(sys.platform == "win32", reason="there, the system tells the folder by another way")
def test_a_user_without_home_and_name_has_the_temporary_folder(tmp_path):
    unknown = (
        "import os, pwd, tempfile\n"
        "def getpwuid(number): raise KeyError(number)\n"
        f"pwd.getpwuid = getpwuid; tempfile.tempdir = {str(tmp_path)!r}\n"
    )
    nobody = {"HOME": None, "XDG_CACHE_HOME": None, "NUMBA_CACHE_DIR": None}
    assert output(unknown + PROGRAM, **nobody) == "0 1"
    assert output(unknown + PROGRAM, **nobody) == "1 0"
    assert [file.name for file in tmp_path.iterdir()] == [f"fastnn-{os.geteuid()}"]


def test_no_temporary_folder_is_no_error(monkeypatch, tmp_path):
    def gettempdir():
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr("tempfile.gettempdir", gettempdir)
    monkeypatch.setattr(cache, "_candidates", lambda: iter([tmp_path]))
    assert cache._folders("version") == ([tmp_path.resolve() / "fastnn" / "version"], True, {})


def read_only(folder):
    """The beginning of a program to which nothing below the folder can be written, be it root's own."""
    return f"""
import tempfile
TemporaryFile = tempfile.TemporaryFile
def refuse(*args, dir=None, **options):
    if str(dir).startswith({str(folder)!r}):
        raise PermissionError(13, "Permission denied")
    return TemporaryFile(*args, dir=dir, **options)
tempfile.TemporaryFile = refuse
"""


def test_machine_code_in_a_read_only_folder_is_used(tmp_path):
    image = tmp_path / "image"
    assert hits_and_misses(image) == "0 1"
    assert hits_and_misses(image, before=read_only(image), XDG_CACHE_HOME=str(tmp_path / "home")) == "1 0"


def test_what_a_read_only_folder_lacks_is_kept_elsewhere(tmp_path):
    image, home = tmp_path / "image", str(tmp_path / "home")
    hits_and_misses(image)
    files = {file: file.read_bytes() for file in image.rglob("*.o")}
    before, single = (
        read_only(image),
        PROGRAM.replace("np.ones((2, 16)", "np.ones((2, 16), np.float32").replace(
            "np.zeros((1, 2)", "np.zeros((1, 2), np.float32"
        ),
    )
    for expected in ("0 1", "1 0"):
        assert (
            output(before + single, NUMBA_CACHE_DIR=str(image), XDG_CACHE_HOME=home, LOCALAPPDATA=home, HOME=home)
            == expected
        )
    assert hits_and_misses(image, before=before, XDG_CACHE_HOME=home, LOCALAPPDATA=home, HOME=home) == "1 0"
    assert files == {file: file.read_bytes() for file in image.rglob("*.o")}


POSIX = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="files have no owners and modes there")
ROOT_ALONE = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="files are given away by root")


def filled(place):
    """A folder of machine code that is trusted: nobody else can write there."""
    folder = place / "fastnn" / "version"
    folder.mkdir(parents=True, mode=0o755)
    (folder / "code.o").touch(mode=0o644)
    return folder


def reasons(monkeypatch, place):
    """Why the folder is not read, or [] if it is."""
    monkeypatch.setattr(cache, "_candidates", lambda: iter([place]))
    return list(cache._folders("version")[2].values())


@POSIX
@pytest.mark.parametrize("others_can_write", ["code.o", "version", "fastnn", "the place", "the way"])
def test_machine_code_where_others_can_write_is_not_run(monkeypatch, tmp_path, others_can_write):
    folder = filled(tmp_path / "way" / "place")
    assert reasons(monkeypatch, tmp_path / "way" / "place") == []
    path = {
        "code.o": folder / "code.o",
        "version": folder,
        "fastnn": folder.parents[0],
        "the place": folder.parents[1],
        "the way": folder.parents[2],
    }[others_can_write]
    path.chmod(path.stat().st_mode | 0o002)
    assert reasons(monkeypatch, tmp_path / "way" / "place") == [f"other users can write {path}"]


@POSIX
def test_in_a_sticky_folder_others_cannot_touch_what_is_not_theirs(monkeypatch, tmp_path):
    place = tmp_path / "place"
    filled(place)
    place.chmod(0o1777)
    assert reasons(monkeypatch, place) == []


@POSIX
def test_a_group_of_others_is_others(monkeypatch, tmp_path):
    file = filled(tmp_path / "place") / "code.o"
    file.chmod(0o664)
    monkeypatch.setattr(cache, "_is_alone_in", lambda group: False)
    assert reasons(monkeypatch, tmp_path / "place") == [f"other users can write {file}"]
    monkeypatch.setattr(cache, "_is_alone_in", lambda group: True)
    assert reasons(monkeypatch, tmp_path / "place") == []


@POSIX
def test_where_root_has_another_number_the_way_may_be_his_but_not_the_folder():
    nobody = os.stat_result((0o40755, 0, 0, 1, 65534, 65534, 0, 0, 0, 0))
    assert cache._distrust("/home", nobody, root=65534) == ""
    assert cache._distrust("/home/place", nobody) == "/home/place belongs to another user"


@POSIX
def test_the_users_group_may_write_in_his_home_but_not_in_roots_folders(monkeypatch, tmp_path):
    home = tmp_path / "home"
    filled(home / "place")
    home.chmod(0o775)
    monkeypatch.setattr(cache, "_is_alone_in", lambda group: False)
    expected = [f"other users can write {home}"] if os.geteuid() == 0 else []
    assert reasons(monkeypatch, home / "place") == expected


@POSIX
def test_a_group_of_ones_own_has_the_users_name_and_nobody_else_in_it(monkeypatch):
    from types import SimpleNamespace as Record

    def alone(group, name, members):
        monkeypatch.setattr("pwd.getpwuid", lambda user: Record(pw_gid=1000, pw_name="ann"))
        monkeypatch.setattr("grp.getgrgid", lambda group: Record(gr_name=name, gr_mem=members))
        return cache._is_alone_in(group)

    assert alone(1000, "ann", [])
    assert alone(1000, "ann", ["ann"])
    assert not alone(1000, "ann", ["bob"])
    assert not alone(1000, "users", [])
    assert not alone(1001, "ann", [])


@POSIX
def test_a_link_is_not_followed(monkeypatch, tmp_path):
    folder = filled(tmp_path / "place")
    (folder / "other.o").symlink_to(folder / "code.o")
    assert reasons(monkeypatch, tmp_path / "place") == [f"{folder / 'other.o'} is a link"]


@ROOT_ALONE
@pytest.mark.parametrize("theirs", ["code.o", "version", "fastnn", "the place"])
def test_machine_code_of_another_user_is_not_run(monkeypatch, tmp_path, theirs):
    folder = filled(tmp_path / "place")
    path = {
        "code.o": folder / "code.o",
        "version": folder,
        "fastnn": folder.parents[0],
        "the place": folder.parents[1],
    }[theirs]
    os.chown(path, 54321, 54321)
    assert reasons(monkeypatch, tmp_path / "place") == [f"{path} belongs to another user"]


@ROOT_ALONE
def test_machine_code_of_root_is_read_by_everybody(monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", None)
    with tempfile.TemporaryDirectory() as folder:  # (pytest's are for nobody else)
        os.chmod(folder, 0o755)
        expected = filled(Path(folder, "place"))
        monkeypatch.setattr(cache, "_candidates", lambda: iter([expected.parents[1]]))
        monkeypatch.setattr("tempfile.gettempdir", lambda: "/nowhere")
        os.seteuid(54321)
        try:
            folders, can_write, refused = cache._folders("version")
        finally:
            os.seteuid(0)
    assert (folders, can_write, list(refused)) == ([expected], False, ["/nowhere/fastnn-54321"])


@pytest.mark.parametrize(
    ("folders", "can_write", "said"),
    [
        (["a"], True, "read and written"),
        (["a", "b"], True, "read only; what is missing in it is kept in b"),
        (["a"], False, "read only; what is missing in it is compiled by every process"),
        ([], False, "none can be used: everything is compiled by every process"),
    ],
)
def test_info_says_what_is_read_and_written_and_why(monkeypatch, folders, can_write, said):
    monkeypatch.setattr(cache, "FOLDERS", folders)
    monkeypatch.setattr(cache, "CAN_WRITE", can_write)
    monkeypatch.setattr(cache, "REFUSED", {"/image": "/image belongs to another user"})
    info = system.system_info()
    assert info["cache_folder"] == (folders[0] if folders else None)
    assert info["cache"] == said + "; /image is not used: /image belongs to another user"


def test_compilation_is_reported_when_it_happens(tmp_path):
    program = (
        PROGRAM.replace(
            "row_sums(np", "import fastnn; names = []\nwith fastnn.compilation(names.append): row_sums(np", 1
        )
        + "print(names)"
    )
    for expected in ("0 1\n['row_sums']", "1 0\n[]"):
        got = subprocess.run(
            [sys.executable, "-c", program],
            cwd="/",
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path)},
        )
        assert got.stdout.strip() == expected


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_a_compilation_says_so_on_a_terminal_once(tmp_path):
    import pty

    program = (
        "import numpy as np, fastnn.training.passes as passes\n"
        "for n in map(np.dtype, 'fd'): passes.row_sums(n, np.ones((2, 16), n), np.zeros((1, 2), n))"
    )
    said = []
    for _ in range(2):
        ours, theirs = pty.openpty()
        subprocess.run(
            [sys.executable, "-c", program],
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=theirs,
            check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path)},
        )
        os.close(theirs)
        try:
            said.append(os.read(ours, 10_000).decode())
        except OSError:  # Linux's way to say that nobody wrote anything
            said.append("")
        os.close(ours)
    assert said[0].count("compiling the kernels") == 1
    assert said[1] == ""
