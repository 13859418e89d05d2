"""The SQL behind specifications: expressions with one form per database.

Names of document fields are written into the statement, so that an index on the same expression
is used; they are declared names of a closed form. Everything else is a bound parameter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from sqlalchemy import String, literal_column
from sqlalchemy.exc import CompileError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from cqrs_ddd_core.domain.specification import split_path
from cqrs_ddd_core.domain.specification.patterns import WORD_SEPARATORS

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement
    from sqlalchemy.sql.compiler import SQLCompiler

__all__ = [
    "LONGEST_WORD",
    "AsBoolean",
    "AsDecimal",
    "AsFloat",
    "AsInstant",
    "AsInteger",
    "ByCodePoint",
    "Folded",
    "HasWords",
    "JsonBoolean",
    "JsonNumber",
    "JsonText",
    "JsonValue",
    "Matches",
    "RealValue",
    "SpacedWords",
    "Template",
    "WordArray",
]


class Template(FunctionElement[Any]):
    """An expression written once per database; ``{a}``, ``{b}``, ... are its arguments."""

    postgresql: ClassVar[str]
    sqlite: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # SQLAlchemy wants it said in every class: nothing but class and arguments matters.
        cls.inherit_cache = True
        super().__init_subclass__(**kwargs)


@compiles(Template)
def _render(element: Template, compiler: SQLCompiler, **options: Any) -> str:
    name = compiler.dialect.name
    if name not in ("postgresql", "sqlite"):
        msg = f"specifications compile for PostgreSQL and SQLite, not for {name}"
        raise CompileError(msg)
    template: str = getattr(element, name)
    return template.format_map(_Arguments(element, compiler, options))


class _Arguments(Mapping[str, str]):
    # Rendered when used: an argument the template leaves out must not become a parameter.
    def __init__(self, element: Template, compiler: SQLCompiler, options: dict[str, Any]) -> None:
        self._clauses = dict(zip("abcd", element.clauses, strict=False))
        self._compiler = compiler
        self._options = options

    def __getitem__(self, name: str) -> str:
        return self._compiler.process(self._clauses[name], **self._options)

    def __iter__(self) -> Iterator[str]:
        return iter(self._clauses)

    def __len__(self) -> int:
        return len(self._clauses)


# --- fields of a JSON document --------------------------------------------------------------------


class JsonValue(Template):
    """A field of a document as text, or as SQLite's own value; JSON null is NULL."""

    type = String()
    postgresql = "({a} {b})"
    sqlite = "json_extract({a}, {d})"

    def __init__(self, document: ColumnElement[Any], name: str) -> None:
        # split_path admits letters, digits, _ and - only: nothing that could end the literal.
        *parents, last = split_path(name)
        arrows = "".join(f"-> '{parent}' " for parent in parents)
        super().__init__(
            document,
            literal_column(f"{arrows}->> '{last}'"),
            literal_column(f"{arrows}-> '{last}'"),
            literal_column("'$." + ".".join(f'"{part}"' for part in (*parents, last)) + "'"),
        )


class JsonText(JsonValue):
    """The text a field holds, NULL when it holds something else."""

    postgresql = "CASE WHEN jsonb_typeof({a} {c}) = 'string' THEN {a} {b} END"
    sqlite = "CASE WHEN json_type({a}, {d}) = 'text' THEN json_extract({a}, {d}) END"


class JsonNumber(JsonValue):
    """The number a field holds, NULL when it holds something else."""

    postgresql = "CASE WHEN jsonb_typeof({a} {c}) = 'number' THEN ({a} {b})::numeric END"
    sqlite = "CASE WHEN json_type({a}, {d}) IN ('integer', 'real') THEN json_extract({a}, {d}) END"


class JsonBoolean(JsonValue):
    """The boolean a field holds, NULL when it holds something else."""

    postgresql = "CASE WHEN jsonb_typeof({a} {c}) = 'boolean' THEN ({a} {b})::boolean END"
    sqlite = "CASE WHEN json_type({a}, {d}) IN ('true', 'false') THEN json_extract({a}, {d}) END"


# --- text of a document as what it stands for -----------------------------------------------------


class AsBoolean(Template):
    """JSON true and false."""

    postgresql = "({a})::boolean"
    sqlite = "{a}"


class AsInteger(Template):
    """An integer."""

    postgresql = "({a})::numeric"
    sqlite = "{a}"


class AsFloat(Template):
    """A float."""

    postgresql = "({a})::double precision"
    sqlite = "{a}"


class RealValue(Template):
    """A bound float; SQLite reads it from the same text as the document's, to the last bit."""

    postgresql = "{a}"
    sqlite = "CAST({a} AS REAL)"


class AsInstant(Template):
    """An ISO 8601 time; on SQLite its UTC text with six digits, which sorts. No zone is UTC."""

    postgresql = (
        "(CASE WHEN right({a}, 1) = 'Z' OR left(right({a}, 6), 1) IN ('+', '-') "
        "THEN {a} ELSE {a} || 'Z' END)::timestamptz"
    )
    # SQLite rounds to milliseconds, so the fraction (six digits or none) is taken as text.
    sqlite = (
        "(strftime('%Y-%m-%dT%H:%M:%S', substr({a}, 1, 19) || "
        "substr({a}, CASE WHEN substr({a}, 20, 1) = '.' THEN 27 ELSE 20 END)) || "
        "CASE WHEN substr({a}, 20, 1) = '.' THEN substr({a}, 20, 7) ELSE '.000000' END)"
    )


def _complement(text: str) -> str:
    """Return SQL that turns every digit d of a text into 9 - d."""
    for digit in range(10):
        text = f"replace({text}, '{digit}', '{chr(ord('a') + digit)}')"
    for digit in range(10):
        text = f"replace({text}, '{chr(ord('a') + digit)}', '{9 - digit}')"
    return text


class AsDecimal(Template):
    """A decimal; on SQLite, which has none, the text of ``decimal_key`` made from its text.

    Exact for every precision. LIMIT keeps SQLite from merging the steps and repeating them.
    """

    postgresql = "({a})::numeric"
    sqlite = """(
        SELECT CASE WHEN t IS NULL THEN NULL WHEN s = '' THEN '1'
            WHEN t LIKE '-%' THEN '0' || COMPLEMENT || '~' ELSE '2' || k END
        FROM (SELECT t, s,
            printf('%06d', 500000 + length(s) - length(f) + e) || rtrim(s, '0') AS k
        FROM (SELECT t, f, e, ltrim(i || f, '0') AS s
        FROM (SELECT t, e, substr(m, 1, instr(m || '.', '.') - 1) AS i,
            substr(m, instr(m || '.', '.') + 1) AS f
        FROM (SELECT t, substr(u, 1, instr(u || 'E', 'E') - 1) AS m,
            CAST(substr(u, instr(u || 'E', 'E') + 1) AS INTEGER) AS e
        FROM (SELECT t, upper(ltrim(t, '+-')) AS u
        FROM (SELECT CAST({a} AS TEXT) AS t
        LIMIT 1) LIMIT 1) LIMIT 1) LIMIT 1) LIMIT 1) LIMIT 1)
    )""".replace("COMPLEMENT", _complement("k"))


# --- text -----------------------------------------------------------------------------------------


class ByCodePoint(Template):
    """Text that compares and sorts by code point, in every locale."""

    type = String()
    postgresql = '({a} COLLATE "C")'
    sqlite = "{a}"


class Folded(Template):
    """Text with A-Z turned into a-z and nothing else."""

    type = String()
    postgresql = 'lower({a} COLLATE "C")'
    sqlite = "lower({a})"


class Matches(Template):
    """Whether a text matches a bound pattern; GLOB because SQLite's LIKE ignores case.

    Of no declared type: as a boolean SQLAlchemy would add ``= 1``, which keeps an index unused.
    """

    postgresql = "({a} LIKE {b})"
    sqlite = "({a} GLOB {b})"


def _postgres_literal(text: str) -> str:
    # As code points: a quote, percent sign or brace would mean something on the way.
    return "E'" + "".join(f"\\x{ord(character):02x}" for character in text) + "'"


_TO_SPACES: Final = (
    f'translate(lower({{a}} COLLATE "C"), {_postgres_literal(WORD_SEPARATORS)}, '
    f"'{' ' * len(WORD_SEPARATORS)}')"
)


class SpacedWords(Template):
    """Folded text with single characters between its words, and one at both ends."""

    type = String()
    postgresql = f"(' ' || {_TO_SPACES} || ' ')"
    sqlite = "(' ' || lower({a}) || ' ')"


#: Characters of a word an index keeps: an entry of GIN has 2,712 bytes at most, and a row with a
#: longer one could not be stored.
LONGEST_WORD: Final = 60


class WordArray(Template):
    """The beginnings of the folded words of a text, for a GIN index."""

    postgresql = (
        f"string_to_array(regexp_replace({_TO_SPACES}, "
        f"'([^ ]{{{{{LONGEST_WORD}}}}})[^ ]+', '\\1', 'g'), ' ')"
    )
    sqlite = "{a}"


class HasWords(Template):
    """Whether a text has all words of a bound array; on SQLite, what is given for it instead.

    Of no declared type, as ``Matches``.
    """

    postgresql = f"({WordArray.postgresql} @> {{b}})"
    sqlite = "{c}"
