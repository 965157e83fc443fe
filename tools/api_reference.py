"""Write the API reference, from the docstrings: python tools/api_reference.py FOLDER."""

import pkgutil
import sys
from pathlib import Path

import pdoc

import deepres

if __name__ == "__main__":
    pdoc.render.configure(docformat="google")
    # The public names are imported when they are first used: now.
    vars(deepres).update({name: getattr(deepres, name) for name in deepres.__all__})
    # A package with __all__ hides its modules from pdoc: they are named one by one.
    named = [
        found.name
        for found in pkgutil.walk_packages(deepres.__path__, "deepres.")
        if hasattr(sys.modules[found.name.rpartition(".")[0]], "__all__")
    ]
    folder = Path(sys.argv[1])
    pdoc.pdoc("deepres", *named, "!deepres.cli", "!deepres.__main__", output_directory=folder)
    print(folder / "index.html")
