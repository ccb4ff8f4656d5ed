# SPDX-License-Identifier: Apache-2.0

"""The rules of the rooms of this repository, and the lines of each room.

``python tools/lib suites.house`` prints the lines; the functions return what
breaks a rule, which tools/tests/test_house.py holds to be nothing.
"""

import ast
import os
import pathlib
import re
import sys
import typing as ty

import prettytable

from patchset import CHECKOUT

#: Rooms by the beginning of a path; the first one that fits counts.
ROOMS = ('patches', 'nova/conf', 'nova/image', 'nova/storage/rbd_export',
         'nova/storage', 'nova/virt', 'nova/cmd', 'nova/tests/testbed',
         'nova/tests/unit', 'nova/tests/functional', 'nova', 'tools/tests',
         'tools', 'devstack', 'playbooks', 'doc', 'releasenotes')
#: Packages below tools/lib; each may import those before it.
PACKAGES = ('patchset', 'environment', 'suites', 'demo', 'benchmark')
#: What modules of a room must not import.
FORBIDDEN = {
    'nova/image/': ('nova.virt', 'nova.cmd'),
    'nova/storage/': ('nova.image', 'nova.virt', 'nova.cmd'),
    'nova/virt/': ('nova.cmd',),
    'nova/conf/': ('nova.image', 'nova.storage', 'nova.virt', 'nova.cmd'),
}
ENGINE = 'nova/storage/rbd_export/'
TESTBED = 'nova/tests/testbed/'
LITTER = re.compile(r'(^|/)(\.|__pycache__)')


class Source(ty.NamedTuple):
    """A file of this repository."""

    path: str
    text: str

    @property
    def lines(self) -> int:
        return len(self.text.splitlines())

    @property
    def is_test(self) -> bool:
        return self.path.startswith(('nova/tests/', 'tools/tests/',
                                     'devstack/tests/'))

    @property
    def module(self) -> str:
        """The name under which it is imported."""
        name = self.path.removeprefix('tools/lib/').removesuffix('.py')
        return name.removesuffix('/__init__').replace('/', '.')

    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)


def files(checkout: pathlib.Path = CHECKOUT) -> ty.List[Source]:
    """Return what is ours and written by hand, sorted by path."""
    found = []
    for top in sorted({room.partition('/')[0] for room in ROOMS}):
        for folder, folders, names in os.walk(checkout / top):
            folders[:] = [name for name in folders if name != 'build' and
                          not LITTER.search(name)]
            for name in names:
                full = pathlib.Path(folder, name)
                path = full.relative_to(checkout).as_posix()
                # Pages of evidence are written by programs.
                if LITTER.search(name) or full.suffix in (
                        '.svg', '.inc', '.log', '.ico', '.png', '.pyc'):
                    continue
                found.append(Source(path, full.read_text('utf-8')))
    return sorted(found)


def modules(sources: ty.Iterable[Source]) -> ty.List[Source]:
    """Return the Python modules that are no tests."""
    return [source for source in sources if source.path.endswith('.py') and
            (not source.is_test or source.path.startswith(TESTBED))]


def imports(source: Source, late: bool = True) -> ty.Set[str]:
    """Return the names that a module imports, as far as they can be read.

    :param late: also those imported when a function runs
    """
    found = set()
    package = source.module.split('.')
    if not source.path.endswith('__init__.py'):
        package = package[:-1]
    nodes: ty.List[ast.AST] = [source.tree()]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = '.'.join(
                package[:len(package) + 1 - node.level] if node.level else [])
            base = '.'.join(filter(None, [base, node.module]))
            found |= {'%s.%s' % (base, alias.name) for alias in node.names}
        elif not late and isinstance(node, (ast.FunctionDef, ast.Lambda)):
            continue
        elif isinstance(node, ast.If) and (
                'TYPE_CHECKING' in ast.unparse(node.test)):
            nodes += node.orelse
            continue
        nodes += ast.iter_child_nodes(node)
    return found


def is_below(name: str, packages: ty.Iterable[str]) -> bool:
    """Return whether a name is that of a package or inside of one."""
    return any(name == package or name.startswith(package + '.')
               for package in packages)


def upward_imports(sources: ty.Iterable[Source]) -> ty.List[str]:
    """Return imports that lead from a room to one it must not know."""
    found = []
    for source in modules(sources):
        names = imports(source)
        if source.path.startswith(ENGINE):
            bad = [name for name in names if not is_below(
                name, {*sys.stdlib_module_names, 'rados', 'rbd',
                       # As a directory that is run it has no other name.
                       'nova.storage.rbd_export', 'rbd_export'})]
        elif source.path.startswith(TESTBED):
            # A program without Nova can import it and start servers.
            bad = [name for name in imports(source, late=False)
                   if is_below(name, ['nova']) and
                   not is_below(name, ['nova.tests.testbed'])]
        elif source.path.startswith('tools/lib/'):
            package = source.module.partition('.')[0]
            allowed = PACKAGES[:PACKAGES.index(package) + 1] if (
                package in PACKAGES) else ()
            bad = [name for name in names if is_below(name, PACKAGES) and
                   not is_below(name, allowed)]
        else:
            bad = [name for name in names
                   for room, forbidden in FORBIDDEN.items()
                   if source.path.startswith(room) and
                   is_below(name, forbidden)]
        if not source.path.startswith(('nova/cmd/', 'tools/')):
            bad += [name for name in names
                    if is_below(name, ['nova.cmd.image_download'])]
        found += ['%s imports %s' % (source.path, name)
                  for name in sorted(set(bad))]
    return found


def circles(sources: ty.Iterable[Source]) -> ty.List[str]:
    """Return the modules of each circle of imports, functions included."""
    named = {source.module: source for source in modules(sources)}
    graph = {}
    for module, source in named.items():
        graph[module] = {
            other for name in imports(source)
            for other in (name, name.rpartition('.')[0])
            if other in named and other != module and
            # A package is there before what is in it.
            not module.startswith(other + '.')}
    while True:
        # What imports nothing that is left is in no circle.
        ends = [module for module, others in graph.items()
                if not others & graph.keys()]
        if not ends:
            return sorted(graph)
        for module in ends:
            del graph[module]


def twin(source: Source) -> str:
    """Return the path of a module's test, '' if it needs none."""
    folder, _, name = source.path.rpartition('/')
    if name in ('__init__.py', '__main__.py') or not any(
            isinstance(node, ast.FunctionDef)
            for node in ast.walk(source.tree())):
        return ''
    # What starts a server is tested with real servers, below functional.
    if source.path.startswith(TESTBED):
        return ''
    if folder.startswith('tools/lib/'):
        return 'tools/tests/%s/test_%s' % (
            folder.removeprefix('tools/lib/'), name)
    if folder.startswith('nova'):
        below = folder.removeprefix('nova').removeprefix('/tests')
        return 'nova/tests/unit%s/test_%s' % (below, name)
    return ''


def path_edits(sources: ty.Iterable[Source]) -> ty.List[str]:
    """Return the places of tools/ that change where Python looks."""
    found = []
    for source in sources:
        if source.path.startswith('tools/') and source.path.endswith('.py'):
            for node in ast.walk(source.tree()):
                texts = []
                if isinstance(node, ast.Call):
                    texts = [ast.unparse(node.func)]
                elif isinstance(node, ast.Assign):
                    texts = [ast.unparse(target) for target in node.targets]
                if any(re.match(r'sys\.path(\[|$|\.(insert|append|extend))',
                                text) for text in texts):
                    found.append('%s:%d' % (source.path, node.lineno))
    return sorted(found)


def lines_by_room(sources: ty.Iterable[Source]) -> ty.Dict[str, int]:
    """Return how many lines each room has."""
    counts = dict.fromkeys(ROOMS, 0)
    for source in sources:
        for room in ROOMS:
            if source.path.startswith(room + '/'):
                counts[room] += source.lines
                break
    return counts


def main() -> int:
    """Print the lines of each room."""
    counts = lines_by_room(files())
    table = prettytable.PrettyTable(['room', 'lines'], align='r')
    table.align['room'] = 'l'
    table.add_rows([*counts.items(), ('all', sum(counts.values()))])
    print(table)
    return 0


if __name__ == '__main__':
    sys.exit(main())
