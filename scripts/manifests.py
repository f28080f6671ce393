"""Reads `cargo metadata` on stdin and prints what the manifests of the workspace do wrong, one line each."""

import json
import re
import sys

metadata = json.load(sys.stdin)
packages = {package["id"]: package for package in metadata["packages"]}
nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
members = {identity: packages[identity] for identity in metadata["workspace_members"]}
names = {package["name"] for package in members.values()}
ALLOWED = {
    "wa-core": set(),
    "wa-adapters": {"wa-core"},
    "wa-storage": {"wa-core"},
    "wa-billing": {"wa-core"},
    "wa-kit": names - {"wa-kit"},
}


def version(text):
    """A Rust version as numbers that compare."""
    numbers = [int(number) for number in text.split(".")]
    return tuple(numbers + [0] * (3 - len(numbers)))


def built(identity):
    """The crates that an embedder builds: no dev-dependencies."""
    seen, waiting = set(), [identity]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        for edge in nodes[current]["deps"]:
            if any(kind["kind"] in (None, "build") for kind in edge["dep_kinds"]):
                waiting.append(edge["pkg"])
    return [packages[found] for found in seen]


for identity, package in sorted(members.items()):
    name = package["name"]
    if name not in ALLOWED:
        print(f"{name}: say in scripts/manifests.py which crates of the house it may know")
        continue
    ours = {it["name"] for it in package["dependencies"] if it["kind"] != "dev" and it["name"] in names}
    for other in sorted(ours - ALLOWED[name]):
        print(f"{name} must not depend on {other}")
    own = package["rust_version"]
    if own is None:
        print(f"{name} has no rust-version")
    else:
        for needed in built(identity):
            if needed["rust_version"] and version(needed["rust_version"]) > version(own):
                print(f"{name}: {needed['name']} {needed['version']} needs Rust {needed['rust_version']}, rust-version is {own}")
    with open(package["manifest_path"], encoding="utf-8") as manifest:
        if not re.search(r"^\[lints\]\nworkspace = true$", manifest.read(), re.MULTILINE):
            print(f"{name} does not say lints.workspace = true")
