#!/usr/bin/env python3
"""An installation is whole, works where it was put and where it was moved, and is found by pkg-config, by CMake, from C++ and as a Meson subproject.

usage: test_install.py SOURCE BUILD MESON
"""
import json
import re
import shutil

from stranger import *

PARENT = """project('parent', 'c', default_options: ['default_library=static'])
moduforge = dependency('moduforge', fallback: 'moduforge', default_options: ['tests=disabled'])
app = executable('app', 'app.c', dependencies: moduforge, install: true)
test('app', app, args: [moduforge.get_variable('config'), meson.current_build_dir() / 'data'])
"""
CXX = """#include <moduforge/runtime.h>
#include <cstring>
int main()
{
	struct mf_transaction *transaction = nullptr;
	if (mf_transaction_new(&transaction) != MF_OK)
		return 1;
	mf_transaction_free(transaction);
	return std::strcmp(mf_status_name(MF_OK), "MF_OK");
}
"""
VERSIONS = """cmake_minimum_required(VERSION 3.16)
project(versions C)
foreach(wanted 0 0.1 0.1.0)
  find_package(moduforge ${wanted} CONFIG REQUIRED)
endforeach()
foreach(unwanted 0.0 0.99 1 2.0)
  set(moduforge_FOUND FALSE)
  find_package(moduforge ${unwanted} CONFIG QUIET)
  if(moduforge_FOUND)
    message(FATAL_ERROR "version ${unwanted} was found")
  endif()
endforeach()
foreach(path ${moduforge_PLUGIN_DIR}/node_steps.so ${moduforge_PLUGINS_JSON})
  if(NOT EXISTS ${path})
    message(FATAL_ERROR "${path} is not there")
  endif()
endforeach()
"""
FIRST = 'stored at LSN 1\nLSN 3: price "9.95"\n'


def _prefix(work):
    return work / "moved"


def _version():
    return re.search(r"version: '([\d.]+)'", (SOURCE / "meson.build").read_text()).group(1)


def _is_project(path):
    """Not a build tree, of which there may be several."""
    return not (path / "meson-private").exists() and path.name != ".git"


def it_has_all_that_a_user_needs(work):
    prefix = installed_by_destdir(work)
    assert prefix == _prefix(work)
    headers = {p.name for p in (prefix / "include" / "moduforge").iterdir()}
    assert headers == {p.name for p in (SOURCE / "include" / "moduforge").iterdir()}
    [library] = prefix.rglob("libmoduforge.so")
    assert os.readlink(library) == "libmoduforge.so.0"
    assert os.readlink(library.with_suffix(".so.0")) == f"libmoduforge.so.{_version()}"
    assert "Library soname: [libmoduforge.so.0]" in call("readelf", "-d", library).stdout
    plugins = {p.stem for p in (library.parent / "moduforge").iterdir()}
    built = {p.stem for folder in ("plugins", "stepfactories") for p in (BUILD / folder).glob("*.so")}
    assert plugins == built, plugins ^ built
    assert (prefix / "bin" / "mf").exists()
    for manual in ["man/man1/mf.1", "bash-completion/completions/mf", "zsh/site-functions/_mf", "fish/vendor_completions.d/mf.fish"]:
        assert b"--accept-loss" in (prefix / "share" / manual).read_bytes().replace(b"Fl -", b"--").replace(b"-l ", b"--"), manual


def the_lines_of_the_readme_set_up_the_prefix_that_they_name(work):
    [line] = re.findall(r"^meson setup (\S+ .*) && meson install -C \S+$", (SOURCE / "README.md").read_text(), re.MULTILINE)
    folder, *options = line.replace("~", str(work / "home")).split()
    said = call(MESON, "setup", work / folder, SOURCE, *options).stdout
    given = {option["name"]: option["value"] for option in json.loads(call(MESON, "introspect", "--buildoptions", work / folder).stdout)}
    assert given["prefix"] == str(work / "home" / "moduforge") and given["libdir"] == "lib" and given["tests"] == "disabled", given
    assert "no tests" not in said, "who switched them off need not hear what they want"


def a_copy_of_the_builds_configuration_works_anywhere(work):
    (work / "elsewhere").mkdir()
    shutil.copy(BUILD / "plugins.json", work / "elsewhere" / "plugins.json")
    plugins = call(BUILD / "mf", "plugin", "list", cwd=work / "elsewhere").stdout
    assert plugins.count('"state":"started"') == 4, plugins


def pkg_config_tells_where_things_are(work):
    prefix = _prefix(work)
    assert call(*pkg_config(prefix, "--modversion", "moduforge")).stdout.strip() == _version()
    assert (variable(prefix, "plugindir") / "node_steps.so").exists()
    assert variable(prefix, "config") == prefix / "etc" / "moduforge" / "plugins.json"
    assert variable(prefix, "config").exists()


def no_installed_text_names_the_place_of_the_build(work):
    for path in _prefix(work).rglob("*"):
        if path.is_file() and path.suffix in (".pc", ".cmake", ".json", ".h"):
            assert str(BUILD) not in path.read_text() and str(SOURCE) not in path.read_text(), path


def a_moved_program_finds_library_configuration_and_plugins(work):
    mf = _prefix(work) / "bin" / "mf"
    line = {"doc": "d", "steps": [{"type_id": "insert_node", "data": {"parent": "root", "node": {"id": "a", "type": "p"}}}]}
    answer = call(mf, "run", "--data", work / "data", input=json.dumps(line) + "\n", cwd=work).stdout
    assert json.loads(answer)["lsn"] == 1, answer
    plugins = call(mf, "plugin", "list", cwd=work).stdout
    assert f'"path":"{_prefix(work)}' in plugins, plugins


def a_program_built_by_pkg_config_finds_them_too(work):
    prefix = _prefix(work)
    flags = call(*pkg_config(prefix, "--cflags", "--libs", "moduforge")).stdout.split()
    library = variable(prefix, "libdir")
    call("cc", "-std=c11", "-Wall", "-Wextra", "-Werror", SOURCE / "examples" / "embed" / "with_runtime.c", "-o", work / "app", *flags, f"-Wl,-rpath,{library}")
    assert call(work / "app", variable(prefix, "config"), work / "app-data").stdout == FIRST


def a_program_in_cxx17_links_to_it(work):
    compiler = shutil.which("g++") or shutil.which("clang++")
    if not compiler:
        raise Skip("needs g++, or another C++ compiler")
    prefix = _prefix(work)
    (work / "app.cpp").write_text(CXX)
    call(compiler, "-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", work / "app.cpp", "-o", work / "app-cxx", "-I", prefix / "include",
         "-L", variable(prefix, "libdir"), "-lmoduforge", f"-Wl,-rpath,{variable(prefix, 'libdir')}")
    call(work / "app-cxx")


def cmake_finds_the_versions_that_fit_and_the_paths(work):
    if not shutil.which("cmake"):
        raise Skip("needs cmake")
    (work / "versions").mkdir()
    (work / "versions" / "CMakeLists.txt").write_text(VERSIONS)
    call("cmake", "-S", work / "versions", "-B", work / "versions" / "out", f"-Dmoduforge_DIR={variable(_prefix(work), 'libdir') / 'cmake' / 'moduforge'}")


def as_a_subproject_it_is_built_and_its_plugins_are_found(work):
    """Also where the parent asks for static libraries: this one is always shared, as its plugins need it."""
    parent = work / "parent"
    copy = parent / "subprojects" / "moduforge"
    shutil.copytree(SOURCE, copy, ignore=lambda folder, names: [n for n in names if not _is_project(Path(folder) / n)])
    (parent / "meson.build").write_text(PARENT)
    shutil.copy(SOURCE / "examples" / "embed" / "with_runtime.c", parent / "app.c")
    call(MESON, "setup", parent / "out", parent, "--force-fallback-for=moduforge")
    call(MESON, "compile", "-C", parent / "out")
    call(MESON, "test", "-C", parent / "out", "app")
    shutil.copy(next((parent / "out").rglob("plugins.json")), work / "copied.json")
    assert FIRST in call(parent / "out" / "app", work / "copied.json", work / "copied-data").stdout
    assert list((parent / "out").rglob("libmoduforge.so"))
    shutil.rmtree(parent / "out" / "data")
    plain = json.loads((BUILD / "plugins.json").read_text())
    plain["plugin_dirs"] = []
    (work / "plugins.json").write_text(json.dumps(plain))
    app = [parent / "out" / "app", work / "plugins.json", work / "devenv-data"]
    assert FIRST in call(MESON, "devenv", "-C", parent / "out", *app).stdout # MF_PLUGIN_PATH leads to the plugins of the build
    call(MESON, "install", "-C", parent / "out", "--destdir", work / "parent-root", "--skip-subprojects")
    assert [p.name for p in (work / "parent-root").rglob("*") if p.is_file()] == ["app"]


if __name__ == "__main__":
    main(globals())
