"""Which release of tf-ansible-deployer an instances.yaml is for: the tag of its containers.

Files for Contrail's own deployer, which came before it, are told by their tags and by what only
that one knows: little is known of it here, so it has no row.
"""

from __future__ import annotations

import re

from stacklab.lint.kind_era import assumed_era, era_as_said
from stacklab.lint.kinds import FileKind
from stacklab.lint.scope import Era, Ground, Source

# The playbooks know the tag by all of these: set_global_variables.yml, set_contrail_variables.yml.
_TAG = re.compile(
    r"""^[ \t]*(?P<name>CONTRAIL_CONTAINER_TAG|CONTRAIL_VERSION|contrail_version)\s*:[ \t]*["']?"""
    r"""(?P<tag>[^"'#\s]+)""",
    re.MULTILINE,
)
# Contrail 5.0 to 21.4: 5.0-214, queens-5.0-20180219, 1912.32, R5.1, ocata-master-117.
_OF_JUNIPER = re.compile(
    r"\b5\.\d|\b(19|20|21)\d\d?\b|\bR(5|19|20|21)|^(ocata|queens|rocky|newton)-"
)
# What Juniper/contrail-ansible-deployer R5.0 to R2005 knows, and tf-ansible-deployer@31eb9b7 does
# not: nodes with Windows, flows for AppFormix, and clouds from before Rocky.
_JUNIPERS_OWN = re.compile(
    r"""^[ \t]*(?:provider\s*:[ \t]*["']?(?P<provider>bms_win)\b"""
    r"""|(?P<role>win_cnm_plugin|win_docker_driver|appformix_flows)\s*:"""
    r"""|OPENSTACK_VERSION\s*:[ \t]*["']?(?P<openstack>newton|ocata|pike|queens)\b)""",
    re.MULTILINE,
)


def find(kind: FileKind, source: Source) -> Era:
    """Return the era by the tag: R26.1, or a build of it such as R26.1-24."""
    match = _TAG.search(source.text)
    if match is not None and "{" not in match["tag"]:
        line = _line_of(source, match.start("name"))
        for release in kind.releases(kind):
            if re.fullmatch(rf"{re.escape(release)}(?:[.-].*)?", match["tag"]):
                return era_as_said(kind, release, Ground.NAME, f"line {line} names {match['tag']}")
        if _OF_JUNIPER.search(match["tag"]):
            # Read by Juniper/contrail-ansible-deployer, which this table does not know.
            return era_as_said(kind, match["tag"], Ground.NAME, f"line {line} names it")
    own = _JUNIPERS_OWN.search(source.text)
    if own is not None:
        word = own["provider"] or own["role"] or own["openstack"]
        line = _line_of(source, own.end() - len(word))
        why = f"{word} (line {line}) is known to Contrail's own deployer alone"
        return era_as_said(kind, "Contrail's", Ground.MARKS, why)
    return assumed_era(kind)


def _line_of(source: Source, position: int) -> int:
    return source.text.count("\n", 0, position) + 1
