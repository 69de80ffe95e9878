"""Checks package.xml against format 3 with the parser that colcon and rosdep use: unknown tags and wrong values are errors."""

import sys
from pathlib import Path

from catkin_pkg.package import InvalidPackage, parse_package

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Print what is wrong; 0 when nothing is."""
    try:
        package = parse_package(ROOT / 'package.xml')
    except InvalidPackage as err:
        print(err)
        return 1
    print(f'package.xml: format {package.package_format}, {package.name} {package.version}, valid')
    return 0


if __name__ == '__main__':
    sys.exit(main())
