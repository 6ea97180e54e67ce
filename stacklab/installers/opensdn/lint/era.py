"""Which release of tf-ansible-deployer an instances.yaml is for: the tag of its containers."""

from __future__ import annotations

import re

from stacklab.lint.era import Era, Ground
from stacklab.lint.kind_era import assumed_era, era_as_said
from stacklab.lint.kinds import FileKind
from stacklab.lint.scope import Source

# The playbooks know the tag by all of these: set_global_variables.yml, set_contrail_variables.yml.
_TAG = re.compile(
    r"""^\s*(?P<name>CONTRAIL_CONTAINER_TAG|CONTRAIL_VERSION|contrail_version)\s*:[ \t]*["']?"""
    r"""(?P<tag>[^"'#\s]+)""",
    re.MULTILINE,
)
# Contrail 5.0 to 21.4: 5.0-214, queens-5.0-20180219, 1912.32, R5.1, ocata-master-117.
_OF_JUNIPER = re.compile(
    r"\b5\.\d|\b(19|20|21)\d\d?\b|\bR(5|19|20|21)|^(ocata|queens|rocky|newton)-"
)


def find(kind: FileKind, source: Source) -> Era:
    """Return the era by the tag: R26.1, or a build of it such as R26.1-24."""
    match = _TAG.search(source.text)
    if match is None or "{" in match["tag"]:
        return assumed_era(kind)
    line = source.text.count("\n", 0, match.start("name")) + 1
    for release in kind.releases(kind):
        if re.fullmatch(rf"{re.escape(release)}(?:[.-].*)?", match["tag"]):
            return era_as_said(kind, release, Ground.NAME, f"line {line} names {match['tag']}")
    if _OF_JUNIPER.search(match["tag"]):
        # Read by Juniper/contrail-ansible-deployer, which this table does not know.
        return era_as_said(kind, match["tag"], Ground.NAME, f"line {line} names it")
    return assumed_era(kind)
