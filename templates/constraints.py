"""Print the versions of what the image installs, as they are in this Python: ``make constraints``."""

from importlib.metadata import PackageNotFoundError, distribution

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def versions(wanted: list[str]) -> dict[str, str]:
    """Name and version of each package that the requirements need, and of what these need."""
    found: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    left = [Requirement(text) for text in wanted]
    while left:
        requirement = left.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            package = distribution(name)
        except PackageNotFoundError as error:
            raise SystemExit(f"{name} is not installed: run make install first") from error
        found[name] = package.version
        for text in package.requires or ():
            needed = Requirement(text)
            environments = [dict(default_environment()) | {"extra": extra} for extra in extras | {""}]
            if needed.marker is None or any(map(needed.marker.evaluate, environments)):
                left.append(needed)
    return found


if __name__ == "__main__":
    print("# What the image installs. Made by `make constraints`, not by hand.")
    for name, version in sorted(versions(["beam-ingest[beam]"]).items()):
        if name != "beam-ingest":
            print(f"{name}=={version}")
