"""The committed browser libraries: those of package.json, unchanged since `make vendor` copied them."""

import hashlib
import json
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = (ROOT / "app" / "static" / "vendor", ROOT / "tests" / "browser" / "vendor")


def read(name):
    return json.loads((ROOT / name).read_text(encoding="utf-8"))


def test_the_files_equal_the_copied_ones():
    files = [path for folder in FOLDERS for path in folder.rglob("*") if path.is_file()]
    found = {path.relative_to(ROOT).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    assert found == read("scripts/vendored.json")["files"]


def test_they_have_the_versions_of_package_json():
    package = read("package.json")
    declared = package["dependencies"] | package["devDependencies"]
    copied = read("scripts/vendored.json")["packages"]
    assert copied == {name: declared[name] for name in copied}
    assert package["dependencies"].keys() <= copied.keys()


def test_the_lock_file_pins_the_same_versions_by_hash():
    package, lock = read("package.json"), read("package-lock.json")["packages"]
    declared = package["dependencies"] | package["devDependencies"]
    assert {name: lock[f"node_modules/{name}"]["version"] for name in declared} == declared
    assert not [name for name, entry in lock.items() if name and not entry["integrity"].startswith("sha512-")]
    # Users have a registry of their own choice.
    assert not [name for name, entry in lock.items() if "resolved" in entry]
