"""What each Python file of the repository imports and defines, parsed once for all tests of a run."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Source:
    """A parsed file, without its tree, which would be walked by every garbage collection of the run.

    imports: full names, wherever in the file an import stands; defines: names of its top level; classes: what
    each class defines; statements: how many the top level has, the docstring included; lines: of the file.
    """

    imports: frozenset[str]
    defines: frozenset[str]
    classes: dict[str, frozenset[str]]
    statements: int
    lines: int


@cache
def source(path: Path) -> Source:
    """Parse a file; relative imports are a fault."""
    content = path.read_bytes()
    tree = ast.parse(content)
    return Source(
        frozenset(_imports(tree, path)),
        frozenset(_defined(tree.body)),
        {node.name: frozenset(_defined(node.body)) for node in tree.body if isinstance(node, ast.ClassDef)},
        len(tree.body),
        len(content.splitlines()),
    )


@cache
def files() -> dict[str, Path]:
    """Every Python file but those of Node's packages, by the name under which it is imported."""
    folders = [path for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith((".", "build"))]
    found = [*ROOT.glob("*.py"), *(path for folder in folders for path in folder.rglob("*.py"))]
    return {module_name(path): path for path in sorted(found) if "node_modules" not in path.parts}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def module_of(name: str) -> str | None:
    """Return the module of this repository that holds a full name, None if another package does."""
    while name not in files():
        name = name.rpartition(".")[0]
        if not name:
            return None
    return name


def modules_imported(path: Path) -> frozenset[str]:
    """Return the modules of this repository that a file imports from."""
    return frozenset(own for name in source(path).imports if (own := module_of(name)))


def _imports(tree: ast.Module, path: Path) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _defined(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                yield node.name
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Assign():
                yield from (target.id for target in node.targets if isinstance(target, ast.Name))
