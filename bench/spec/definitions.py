"""The definitions of a module, as a static look at its source tells: what each says and uses."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from bench.spec.source_files import is_importable
from bench.spec.user_code import is_reference

#: In the place of a name: what a module does when it is imported.
EFFECTS = "<import>"

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_IMPORTS = (ast.Import, ast.ImportFrom)
#: Statements that do nothing but bind names, unless what they bind is a part of something.
_BINDING = (
    *_FUNCTIONS,
    ast.ClassDef,
    ast.Assign,
    ast.AnnAssign,
    ast.AugAssign,
    ast.Delete,
    ast.TypeAlias,
)


class Import(NamedTuple):
    """What an import binds a name to.

    Attributes:
        module: The module.
        name: The name in it, which may be a module; ``None``: the module itself.
    """

    module: str
    name: str | None = None


class Use(NamedTuple):
    """A use of a name that is not the definition's own.

    Attributes:
        path: The name, and the attributes that are asked for one after another.
        imported: What an import inside the definition has bound the name to.
        raised: A ``raise`` names it.
    """

    path: tuple[str, ...]
    imported: Import | None = None
    raised: bool = False


class Content(NamedTuple):
    """What a definition says.

    Attributes:
        text: Its statements in a normal form: without comments, docstrings, line numbers,
            annotations (but those of a class's fields), the arguments of what is raised, and
            the entries of tables.
        uses: The names that it uses.
        references: Its strings of the form ``package.module:attribute``.
        modules: Modules that it imports by a call, under a literal name.
        is_computed: It imports under a computed name, or looks at all that its module has.
    """

    text: str
    uses: frozenset[Use]
    references: frozenset[str]
    modules: frozenset[str]
    is_computed: bool


class Module:
    """What the top level of a module's source has.

    Args:
        name: Dotted.
        is_package: Whether the source is an ``__init__.py``.
        source: The source.

    Attributes:
        statements: Those that bind each name that is defined here, or change what it stands for.
        imports: What each name that is imported here stands for; several after an ``except``.
        stars: Modules all of whose names are imported.
        imported: Names of all modules that importing this one may import.
        effects: Statements that do more than bind names of this module.
        decorated: Functions and classes with decorators.

    Raises:
        SyntaxError: It is no Python.
    """

    def __init__(self, name: str, is_package: bool, source: bytes) -> None:
        self.name = name
        self.statements: dict[str, list[ast.stmt]] = {}
        self.imports: dict[str, list[Import]] = {}
        self.stars: list[str] = []
        self.imported: set[str] = set()
        self.effects: list[ast.stmt] = []
        self.decorated: list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef] = []
        self._contents: dict[str, Content | None] = {}
        self._package = name.split(".") if is_package else name.split(".")[:-1]
        statements = list(_executed(ast.parse(source).body))
        for statement in statements:
            self._enter(statement)
        for statement in statements:
            for changed in _changed(statement):
                # What a name of another module stands for is not this module's to keep.
                places = self.statements.get(changed, self.effects)
                if statement not in places:
                    places.append(statement)

    def _enter(self, statement: ast.stmt) -> None:
        """Note what a statement at the top level binds."""
        for node in _in_scope(statement):
            for name in _bound(node):
                self.statements.setdefault(name, []).append(statement)
            if isinstance(node, _IMPORTS):
                self._import(node)
        if isinstance(statement, (*_FUNCTIONS, ast.ClassDef)) and statement.decorator_list:
            self.decorated.append(statement)
        if not isinstance(statement, (*_BINDING, *_IMPORTS)) and not list(_changed(statement)):
            self.effects.append(statement)

    def _import(self, statement: ast.Import | ast.ImportFrom) -> None:
        for name, found in self.bindings(statement):
            if name == "*":
                self.stars.append(found.module)
            else:
                self.imports.setdefault(name, []).append(found)
            self.imported.add(found.module)
            if found.name is not None:
                self.imported.add(f"{found.module}.{found.name}")
        if isinstance(statement, ast.Import):
            self.imported.update(alias.name for alias in statement.names)

    def bindings(self, statement: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, Import]]:
        """The names that an import of this module binds, and to what; ``*`` for all names."""
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                top = alias.name.partition(".")[0]
                yield alias.asname or top, Import(alias.name if alias.asname else top)
            return
        above = self._package[: len(self._package) + 1 - statement.level] if statement.level else []
        module = ".".join([*above, *([statement.module] if statement.module else [])])
        for alias in statement.names:
            found = Import(module, None if alias.name == "*" else alias.name)
            yield alias.asname or alias.name, found

    def is_function(self, name: str) -> bool:
        """Whether a name that is defined here is bound by ``def`` alone."""
        return all(isinstance(found, _FUNCTIONS) for found in self.statements.get(name, [None]))

    def content(self, part: str) -> Content | None:
        """What a part of the module says; read once.

        Args:
            part: The name of a definition, ``Class.method``, or `EFFECTS`. With a method comes what
                it uses of its class by ``self.name`` or ``cls.name``, the special methods, the
                decorators and the base classes; all of the class, where ``self`` is handed on.

        Returns:
            ``None`` where there is no such part: a method may be a base class's.
        """
        if part not in self._contents:
            nodes = self.effects if part == EFFECTS else self._nodes(*part.split("."))
            self._contents[part] = None if nodes is None else self.read(nodes)
        return self._contents[part]

    def _nodes(self, name: str, method: str | None = None) -> Sequence[ast.AST] | None:
        found = self.statements.get(name)
        if method is None:
            return found
        match found:
            case [ast.ClassDef() as whole] if (kept := _parts(whole, method)) is not None:
                return [ast.ClassDef(**{**vars(whole), "body": kept})]
        return None

    def read(self, nodes: Iterable[ast.AST]) -> Content:
        """What some nodes of the module's tree say."""
        reader = _Reader(self)
        for node in nodes:
            reader.visit(node)
        return reader.content()

    def knows(self, reference: str) -> bool:
        """Whether a string of the form ``package.module:attribute`` may be meant as one."""
        top = reference.partition(":")[0].partition(".")[0]
        return top == self.name.partition(".")[0] or is_importable(top)


def _executed(statements: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Without docstrings and what only a type checker or a main program executes."""
    for statement in statements:
        if isinstance(statement, ast.If) and _is_false(statement.test):
            yield from _executed(statement.orelse)
        elif not _is_text(statement):
            yield statement


def _is_false(test: ast.expr) -> bool:
    """Whether a condition holds in no module that is imported in a run."""
    match test:
        case ast.Compare(left=ast.Name(id="__name__"), ops=[ast.Eq()]):
            return True
    return _path(test)[-1:] == ("TYPE_CHECKING",)


def _is_text(node: ast.AST) -> bool:
    """Whether it is a docstring, of whatever."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _path(node: ast.AST) -> tuple[str, ...]:
    """Name and attributes of ``name.attribute.attribute``; empty for anything else."""
    attributes = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    return (node.id, *reversed(attributes)) if isinstance(node, ast.Name) else ()


def _in_scope(statement: ast.stmt) -> Iterator[ast.AST]:
    """The statement, and all in it that is executed in the same scope."""
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (*_FUNCTIONS, *_COMPREHENSIONS, ast.Lambda, ast.ClassDef)):
            waiting.extend(ast.iter_child_nodes(node))


def _bound(node: ast.AST) -> Iterator[str]:
    """The name that a node binds in its scope, if any, but by an import."""
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name
        case (
            ast.FunctionDef(name=str(name))
            | ast.AsyncFunctionDef(name=str(name))
            | ast.ClassDef(name=str(name))
            | ast.ExceptHandler(name=str(name))
            | ast.MatchAs(name=str(name))
            | ast.MatchStar(name=str(name))
            | ast.MatchMapping(rest=str(name))
        ):
            yield name


def _changed(statement: ast.stmt) -> Iterator[str]:
    """The names whose objects a statement changes: by ``x[…] = …``, ``x.y = …``, ``x.y(…)``."""
    targets: list[ast.expr]
    match statement:
        case ast.Expr(value=ast.Call(func=function)):
            targets = [function]
        case ast.Assign(targets=targets) | ast.Delete(targets=targets):
            pass
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
            targets = [target]
        case _:
            return
    for whole in targets:
        base = whole
        while isinstance(base, (ast.Attribute, ast.Subscript)):
            base = base.value
        if base is not whole and isinstance(base, ast.Name):
            yield base.id


def _parts(whole: ast.ClassDef, method: str) -> list[ast.stmt] | None:
    """The statements of a class that a method needs; see `Module.content`."""
    binding: dict[str, list[ast.stmt]] = {}
    for statement in whole.body:
        for node in _in_scope(statement):
            for name in _bound(node):
                binding.setdefault(name, []).append(statement)
    if method not in binding:
        return None
    waiting = [method, *(name for name in binding if name.startswith("__"))]
    wanted = set(waiting)
    while waiting:
        for statement in binding[waiting.pop()]:
            used = _own(statement, whole.name)
            if used is None:
                return whole.body
            new = (used & binding.keys()) - wanted
            wanted |= new
            waiting.extend(new)
    needed = [statement for name in wanted for statement in binding[name]]
    named = [statement for found in binding.values() for statement in found]
    return [one for one in whole.body if one in needed or one not in named]


def _own(statement: ast.stmt, name: str) -> set[str] | None:
    """The names in a part of a class, and the attributes of its first argument and of the class.

    Returns:
        ``None`` where one of these two is used as an object, so that others may ask it for any.
    """
    owners = {"self", "cls", name}
    if isinstance(statement, _FUNCTIONS) and statement.args.args:
        owners.add(statement.args.args[0].arg)
    found: set[str] = set()
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        path = _path(node)
        if path and path[0] in owners:
            if len(path) == 1:
                return None
            found.add(path[1])
        elif path:
            found.add(path[0])
        else:
            left_out = {getattr(node, field, None) for field in ("annotation", "returns")}
            waiting.extend(n for n in ast.iter_child_nodes(node) if n not in left_out)
    return found


class _Scope:
    """What was seen of a function, a class or a comprehension."""

    def __init__(self, is_class: bool = False) -> None:
        self.is_class = is_class
        self.uses: set[Use] = set()
        self.bound: set[str] = set()
        self.outer: set[str] = set()
        self.imports: dict[str, Import] = {}

    def free(self) -> Iterator[Use]:
        """The uses of names that it does not bind itself.

        What a class's body binds its methods do not see, so that the uses of it are kept.
        """
        for use in self.uses:
            name = use.path[0]
            if use.imported is not None:
                yield use
            elif name in self.imports:
                yield use._replace(imported=self.imports[name])
            elif self.is_class or name in self.outer or name not in self.bound:
                yield use


class _Reader(ast.NodeVisitor):
    """Writes nodes down in the normal form of `Content`, and notes what they use."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._written: list[str] = []
        self._scopes = [_Scope()]
        self._references: set[str] = set()
        self._modules: set[str] = set()
        self._is_computed = False

    def content(self) -> Content:
        """Of all that was visited."""
        return Content(
            "".join(self._written),
            frozenset(self._scopes[0].uses),
            frozenset(self._references),
            frozenset(self._modules),
            self._is_computed,
        )

    def generic_visit(self, node: ast.AST) -> None:
        """Type and fields; empty ones are left out, in which versions of Python differ."""
        self._scopes[-1].bound.update(_bound(node))
        self._fields(node, node._fields)

    def _fields(self, node: ast.AST, names: Iterable[str]) -> None:
        write = self._written.append
        write(f"{type(node).__name__}(")
        for name in names:
            value = getattr(node, name, None)
            if value is None or value == [] or name in ("ctx", "kind", "type_comment"):
                continue
            write(f"{name}=")
            if isinstance(value, list):
                self._list(value)
            elif isinstance(value, ast.AST):
                self.visit(value)
            else:
                write(repr(value))
            write(",")
        write(")")

    def _list(self, values: Sequence[ast.AST | str | None]) -> None:
        for value in values:
            if not isinstance(value, ast.AST):
                self._written.append(f"{value!r};")
            elif not _is_text(value):
                self.visit(value)
                self._written.append(";")

    def visit_Constant(self, node: ast.Constant) -> None:
        self._written.append(repr(node.value))
        if isinstance(node.value, str) and is_reference(node.value):
            self._references.add(node.value)

    def visit_Name(self, node: ast.Name) -> None:
        self._written.append(node.id)
        self._scopes[-1].bound.update(_bound(node))
        if isinstance(node.ctx, ast.Load):
            self._use((node.id,))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if path := _path(node):
            self._written.append(".".join(path))
            self._use(path)
        else:
            self._fields(node, node._fields)

    def _use(self, path: tuple[str, ...], raised: bool = False) -> None:
        self._scopes[-1].uses.add(Use(path, None, raised))
        if path == ("globals",):
            self._is_computed = True

    def visit_Call(self, node: ast.Call) -> None:
        if _path(node.func)[-1:] in (("import_module",), ("__import__",)):
            match node.args:
                case [ast.Constant(value=str(name)), *_]:
                    self._modules.add(name)
                case _:
                    self._is_computed = True
        self._fields(node, node._fields)

    def visit_Raise(self, node: ast.Raise) -> None:
        """What it says to people is no part of the code."""
        raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        self._written.append("Raise(")
        if raised is not None and (path := _path(raised)):
            self._written.append(".".join(path))
            self._use(path, raised=True)
        elif raised is not None:
            self.visit(raised)
        if node.cause is not None:
            self._written.append(" from ")
            self.visit(node.cause)
        self._written.append(")")

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """A field's annotation is part of its class; no other is ever looked at."""
        if self._scopes[-1].is_class:
            self._fields(node, node._fields)
        elif node.value is None:
            self._scopes[-1].bound.update(_bound(node.target))
        else:
            self.visit(ast.Assign(targets=[node.target], value=node.value))

    def visit_Dict(self, node: ast.Dict) -> None:
        """An entry of a module's table is the matter of those that use what it names."""
        self._written.append("{")
        for key, value in zip(node.keys, node.values, strict=True):
            if len(self._scopes) == 1 and self._names_definition(value):
                continue
            if key is not None:
                self.visit(key)
            self._written.append(":")
            self.visit(value)
            self._written.append(";")
        self._written.append("}")

    def _names_definition(self, value: ast.expr) -> bool:
        return any(
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and is_reference(node.value)
            and self._module.knows(node.value)
            for node in ast.walk(value)
        )

    def _visit_import(self, node: ast.Import | ast.ImportFrom) -> None:
        self._fields(node, node._fields)
        if len(self._scopes) > 1:  # else it is the module's
            self._scopes[-1].imports.update(self._module.bindings(node))

    visit_Import = _visit_import
    visit_ImportFrom = _visit_import

    def _visit_outer(self, node: ast.Global | ast.Nonlocal) -> None:
        self._fields(node, node._fields)
        self._scopes[-1].outer.update(node.names)
        for name in node.names:
            self._use((name,))

    visit_Global = _visit_outer
    visit_Nonlocal = _visit_outer

    def _visit_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._scopes[-1].bound.add(node.name)
        self._fields(node, ("name", "decorator_list"))
        self._parameters(node.args)
        self._within(_Scope(), lambda: self._list(node.body), node.args)

    visit_FunctionDef = _visit_function
    visit_AsyncFunctionDef = _visit_function

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._written.append("Lambda")
        self._parameters(node.args)
        self._within(_Scope(), lambda: self.visit(node.body), node.args)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._scopes[-1].bound.add(node.name)
        self._fields(node, ("name", "decorator_list", "bases", "keywords"))
        self._within(_Scope(is_class=True), lambda: self._list(node.body))

    def _visit_comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
    ) -> None:
        self.visit(node.generators[0].iter)  # in the scope outside
        self._within(_Scope(), lambda: self._fields(node, node._fields))

    visit_ListComp = _visit_comprehension
    visit_SetComp = _visit_comprehension
    visit_DictComp = _visit_comprehension
    visit_GeneratorExp = _visit_comprehension

    def _parameters(self, node: ast.arguments) -> None:
        """Names and defaults."""
        for parameters in (node.posonlyargs, node.args, node.kwonlyargs):
            self._written.append(f"({','.join(one.arg for one in parameters)})")
        for one in (node.vararg, node.kwarg):
            self._written.append(f"*{one.arg if one else ''}")
        self._list([*node.defaults, *node.kw_defaults])

    def _within(
        self, scope: _Scope, read: Callable[[], None], parameters: ast.arguments | None = None
    ) -> None:
        """Read in a scope of its own."""
        if parameters is not None:
            scope.bound.update(n.arg for n in ast.walk(parameters) if isinstance(n, ast.arg))
        self._scopes.append(scope)
        read()
        self._scopes.pop()
        self._scopes[-1].uses.update(scope.free())
