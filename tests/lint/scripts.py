"""Texts for bash, each with what A, B and C hold afterwards; None is unset."""

from __future__ import annotations

SCRIPTS: dict[str, tuple[str, tuple[str | None, str | None, str | None]]] = {
    "plain": ("A=1\nB=two\n", ("1", "two", None)),
    "no end of the last line": ("A=1\nB=2", ("1", "2", None)),
    "comments": ("# A=0\nA=1 # B=2\nB=x#y\n", ("1", "x#y", None)),
    "single quotes": ("A='a $B \"c\" # d'\n", ('a $B "c" # d', None, None)),
    "double quotes": ('A="a \'b\' \\"c\\" \\$d"\n', ("a 'b' \"c\" $d", None, None)),
    "a quote in the middle": ("A=a'b c'd\"e f\"\n", ("ab cde f", None, None)),
    "two on a line": ("A=1 B=2; C=3\n", ("1", "2", "3")),
    "a value of two words": ("A=1 true\nB=2\n", (None, "2", None)),
    "blanks around the sign": ("A = 1\nB= true\nC =3\n", (None, None, None)),
    "references": ("A=1\nB=$A/2\nC=${B}x\n", ("1", "1/2", "1/2x")),
    "a default": ("B=${A:-x}\nA=${B:-y}\nC=${C-z}\n", ("x", "x", "z")),
    "appended": ("A=1\nA+=,2\nB+=3\n", ("1,2", "3", None)),
    "exported": ("export A=1 B=2\nexport C\n", ("1", "2", None)),
    "a continued line": ('A=1\\\n2\nB="x\\\ny"\n', ("12", "xy", None)),
    "a quote over lines": ("A='1\n2'\nB=3\n", ("1\n2", "3", None)),
    "a here-document": ("cat >/dev/null <<END\nA=1\nit's\nEND\nB=2\n", (None, "2", None)),
    "an indented here-document": (
        "cat >/dev/null <<-'END'\n\tA=1\n\tEND\nB=2\n",
        (None, "2", None),
    ),
    "a here-string": ("cat >/dev/null <<<word\nA=1\n", ("1", None, None)),
    "an ANSI quote": ("A=$'it\\'s'\nB=1\n", ("it's", "1", None)),
    "in the background": ("A=1 &\nwait\nB=2\n", (None, "2", None)),
    "a carriage return": ("A=1\r\nB=2\n", ("1\r", "2", None)),
    "a subshell": ("(A=1; B=2)\nC=3\n", (None, None, "3")),
    "arithmetic": (
        "A=1\n((A < 2))\n(( D = 5 ))\n((1 << 2))\nfor ((D = 0; D < 3; D++)); do :; done\nB=2\n",
        ("1", "2", None),
    ),
    "a subshell in a subshell": ("((A=1); B=2)\nC=3\n", (None, None, "3")),
    "set": ("set A=1\nB=2\n", (None, "2", None)),
    "an unclosed quote": ('A=1\nB="2\nC=3\n', ("1", None, None)),
    "an unclosed block": ("A=1\nif true; then\nB=2\n", ("1", None, None)),
    "the words of a case": ("case x in\n  a) A=1 ;;\n  *) true ;;\nesac\nB=2\n", (None, "2", None)),
    "a function that is not called": (
        "f() {\n  A=1\n}\nfunction g { B=2; }\nC=3\n",
        (None, None, "3"),
    ),
}
