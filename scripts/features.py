"""Reads `cargo metadata` on stdin and prints each crate of the workspace with each of its features, and without."""

import json
import sys

metadata = json.load(sys.stdin)
for package in metadata["packages"]:
    if package["id"] in metadata["workspace_members"]:
        print(package["name"], "-")
        for feature in sorted(package["features"]):
            print(package["name"], feature)
