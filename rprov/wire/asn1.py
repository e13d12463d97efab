"""Loads grammars from `rprov.asn1`. Knows how they are parsed, not what they say.

asn1tools is imported when the first grammar is loaded, not before: it takes longer than many a verb of the command.
"""

from importlib import resources

from rprov.errors import Misuse
from rprov.wire.uper_compile import Description, Grammar


def load(*names: str) -> Grammar:
    """Parse the grammars `rprov/asn1/<name>.asn` and give all their types by name.

    Modules share one set of names, which is what their IMPORTS come to; a name that stands twice is refused.
    """
    import asn1tools

    folder = resources.files("rprov.asn1")
    text = "\n".join(folder.joinpath(f"{name}.asn").read_text(encoding="utf-8") for name in names)
    types: dict[str, Description] = {}
    for module, content in asn1tools.parse_string(text).items():
        for name, description in content["types"].items():
            if name in types:
                raise Misuse(f"{module}: the type {name} is there twice")
            types[name] = description
    return types
