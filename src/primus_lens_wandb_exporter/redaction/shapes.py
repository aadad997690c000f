"""Secrets that are known by their look: the key formats of providers, private keys, addresses that are keys.

Each repetition is bounded or starts where a word does, so that the time is linear in the text.
"""

from functools import lru_cache
from typing import Any, Dict, Iterable, List, Match, Pattern, Set

from .keys import compiled
from .values import REDACTED

# One provider a line. What is matched begins with a fixed letter; shorter than the real ones where the prefix tells
# enough, since texts are cut.
_KEYS = (
    # Clouds and code
    r"A(?:KIA|SIA|BIA|CCA|3T[A-Z0-9])[A-Z0-9]{16}(?![A-Za-z0-9])",  # AWS
    r"ABSK[A-Za-z0-9+/]{60,255}={0,2}",  # AWS Bedrock
    r"AIza[\w-]{30,255}|AQ\.(?=[\w-]{0,60}[0-9])[\w-]{40,255}|ya29\.[\w-]{16,255}|GOCSPX-[\w-]{16,255}",  # Google
    r"LTAI[A-Za-z0-9]{12,64}|AKID[A-Za-z0-9]{24,64}|bce-v3/ALTAK-[\w/-]{20,255}|SCW[A-Z0-9]{17}(?![A-Za-z0-9])",
    r"ghp_[A-Za-z0-9]{16,255}|gho_[A-Za-z0-9]{16,255}|ghu_[A-Za-z0-9]{16,255}|ghs_[A-Za-z0-9]{16,255}",  # GitHub
    r"ghr_[A-Za-z0-9]{16,255}|github_pat_[A-Za-z0-9_]{16,255}",
    r"gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|imt|ffct|oas)-[\w.-]{16,255}|GR1348941[\w-]{16,255}",  # GitLab
    r"ATATT3[\w=-]{40,400}|ATCTT3[\w=-]{40,400}|ATBB[A-Za-z0-9]{28,64}",  # Atlassian
    r"do[opr]_v1_[0-9a-f]{32,255}|dapi[0-9a-f]{32}(?:-\d)?",  # DigitalOcean, Databricks
    r"dckr_(?:pat|oat)_[\w-]{16,255}|npm_[A-Za-z0-9]{30,255}|pypi-AgE[\w-]{16,2000}|rubygems_[0-9a-f]{40,64}",
    r"HRKU-[\w-]{30,255}|hv[sbr]\.[\w-]{20,400}|s\.(?=[A-Za-z]{0,23}[0-9])[A-Za-z0-9]{24}(?![\w.])",  # Heroku, Vault
    r"pul-[0-9a-f]{40}|tskey-[a-z]{1,12}-[\w-]{12,255}|dp\.(?:pt|st|ct|sa|scim|audit)\.[\w.-]{32,255}",
    r"v1\.0-[0-9a-f]{24}-[0-9a-f]{64,255}|fo1_[\w-]{32,64}|fm[12][ar]?_[A-Za-z0-9+/]{60,2000}",  # Cloudflare, Fly
    r"sbp_[0-9a-f]{32,64}|sb_secret_[\w-]{16,255}|pscale_(?:tkn|oauth|pw)_[\w=.-]{24,255}|napi_[A-Za-z0-9]{32,255}",
    r"bkua_[0-9a-f]{32,64}|CCIPAT_\w{20,255}|nfp_[A-Za-z0-9]{30,64}|rnd_[A-Za-z0-9]{24,64}|vck_[A-Za-z0-9]{24,255}",
    r"sgp_[0-9a-f_]{40,64}|sq[pua]_[0-9a-f]{40}|ico-(?=[A-Za-z]{0,31}[0-9])[A-Za-z0-9]{32}|PMAK-[0-9a-f-]{40,64}",
    r"AKCp[A-Za-z0-9]{50,80}|cmVmd[A-Za-z0-9]{50,80}|API-[A-Z0-9]{26}(?![A-Za-z0-9])|oy2[a-z0-9]{43}|tk-us-[\w-]{40,64}",
    r"sha256~[\w-]{40,64}|ops_eyJ[\w+/=-]{40,2000}|A3-[A-Z0-9]{6}-[A-Z0-9-]{24,64}|AGE-SECRET-KEY-1[A-Z0-9]{20,255}",
    # Models, data and experiments
    r"hf_(?:oauth_[\w.-]{20,2000}|[A-Za-z0-9]{24,255})|api_org_[A-Za-z0-9]{24,255}|wandb_v1_[\w-]{16,255}|KGAT_[0-9a-f]{24,64}",
    r"sk-(?:proj|ant|or|svcacct|admin|None|lf|live|test|helicone|service)-[\w-]{16,255}|sess-[A-Za-z0-9]{40,64}",
    r"sk-(?:[A-Za-z0-9]{32,255}|(?=[A-Za-z]{0,31}[0-9])[A-Za-z0-9]{16,255})",  # OpenAI, DeepSeek, Moonshot, Qwen
    r"sk_[0-9a-f]{40,64}|nvapi-[\w-]{16,255}|gsk_[A-Za-z0-9]{16,255}|xai-[A-Za-z0-9]{16,255}|pplx-[A-Za-z0-9]{24,255}",
    r"fw_(?=[A-Za-z]{0,63}[0-9])[A-Za-z0-9]{20,64}|csk-[A-Za-z0-9]{24,64}|tgp_v1_[\w-]{20,255}|r8_[A-Za-z0-9]{30,255}",
    r"rpa_[A-Za-z0-9]{24,64}|pa-(?<![\w-]pa-)(?=[a-z_-]{0,42}[A-Z0-9])[\w-]{43}(?![\w-])|jina_[A-Za-z0-9_-]{32,255}|tvly-[\w-]{20,255}",
    r"lsv2_(?:pt|sk)_[\w-]{20,255}|ls__[0-9a-f]{32}|pcsk_\w{24,255}|e2b_[0-9a-f]{32,64}|fc-[0-9a-f]{32}",
    r"llx-[A-Za-z0-9]{24,255}|esecret_[A-Za-z0-9]{16,255}|eyJhcGlf[A-Za-z0-9+/]{20,2000}={0,2}",  # …, Anyscale, Neptune
    r"a[ks]-(?=[A-Za-z]{0,21}[0-9])[A-Za-z0-9]{22}(?![\w-])|secret_[\w-]{1,64}_[0-9a-f]{32}\.[A-Za-z0-9]{16,64}",
    r"CW-SECRET-[\w-]{16,255}|AQVN[\w-]{35,38}|4b1d[A-Za-z0-9]{38}(?![A-Za-z0-9])",
    # Talk, money, watching
    r"xox[abeoprs]-[A-Za-z0-9-]{10,255}|xoxe\.xox[bp]-[A-Za-z0-9-]{10,255}|xapp-[A-Za-z0-9-]{10,255}",  # Slack
    r"sk_(?:live|test|prod)_[A-Za-z0-9]{10,255}|rk_(?:live|test|prod)_[A-Za-z0-9]{10,255}|pk_(?:live|test)_[A-Za-z0-9]{10,255}",
    r"whsec_[A-Za-z0-9+/=]{16,255}|sq0[a-z]{3}-[\w-]{22,60}|EAAA[\w-]{40,64}|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{24,64}",
    r"SG\.[\w-]{16,255}\.[\w-]{16,255}|key-(?<![\w-]key-)[0-9a-f]{32}(?![A-Za-z0-9])|xkeysib-[\w-]{40,255}|SK[0-9a-f]{32}(?![A-Za-z0-9])",
    r"re_(?=[A-Za-z_]{0,40}[0-9])[A-Za-z0-9]{8}_[A-Za-z0-9]{16,64}|EZ[AT]K[A-Za-z0-9]{54}|duffel_(?:test|live)_[\w=-]{40,64}|tfp_[\w=.-]{40,64}",
    r"glsa_\w{20,255}|glc_[A-Za-z0-9+/]{32,400}={0,2}|eyJrIjoi[A-Za-z0-9]{40,400}={0,2}",  # Grafana
    r"NRAK-[A-Z0-9]{20,64}|NRII-[\w-]{24,64}|NRJS-[0-9a-f]{19}|dt0c01\.[A-Z0-9]{16,64}\.[A-Z0-9]{32,128}",
    r"sntrys_[\w+/=-]{24,400}|sntryu_[0-9a-f]{32,64}|phx_[A-Za-z0-9]{32,64}|rdme_[a-z0-9]{40,80}|pnu_[A-Za-z0-9]{30,64}",
    r"lin_(?:api|oauth)_[A-Za-z0-9]{24,64}|ntn_[A-Za-z0-9]{32,64}|secret_[A-Za-z0-9]{43}(?![A-Za-z0-9])|figd_[\w-]{24,255}",
    r"pat-(?:na|eu|ap)\d-[0-9a-f-]{30,40}|pat[A-Za-z0-9]{14}\.[0-9a-f]{40,64}",  # HubSpot, Airtable
    r"pat\.[\w-]{22}\.[A-Za-z0-9]{24}\.[A-Za-z0-9]{16,24}|sat\.[\w-]{22}\.[A-Za-z0-9]{24}\.[A-Za-z0-9]{16,24}",
    r"sl\.[\w-]{100,2000}|fio-u-[\w=-]{40,64}|p8e-[a-z0-9]{32}|shippo_(?:live|test)_[0-9a-f]{40}|sm_[aps]at_[A-Za-z0-9]{16}",
    r"CFPAT-[\w-]{32,64}|FLWSECK_TEST-[A-Za-z0-9-]{12,64}|CLOJARS_[a-z0-9]{60}",
    r"eyJ(?<![\w-]eyJ)[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?",  # JSON web tokens
)
# What has no fixed beginning, and what must stand in the text for it.
_KEYS_BY_MARK = {
    ".atlasv1.": r"(?<![A-Za-z0-9])[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{32,255}",  # Terraform
    ":AA": r"(?<![0-9])[0-9]{8,12}:AA[\w-]{30,64}",  # Telegram
    "Q~": r"(?<![\w.~-])[\w.~-]{3}[0-9]Q~[\w.~-]{24,64}",  # Azure
    "-us": r"(?<![\w-])[0-9a-f]{32}-us[0-9]{1,2}(?![\w-])",  # Mailchimp
    "NRAL": r"(?<![A-Za-z0-9])[0-9a-f]{36}NRAL",  # New Relic
    "_mmk": r"(?<![A-Za-z0-9])[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk",  # MaxMind
    ".": r"(?<![\w.-])(?:[MNO][\w-]{22,28}\.[\w-]{6}\.[\w-]{25,64}|[0-9a-f]{32}\.[A-Za-z0-9]{16}(?![\w.]))",
    "hooks.slack.com/": r"hooks\.slack\.com/(?:services|workflows|triggers)/[\w/-]{8,255}",
    "/webhooks/": r"discord(?:app)?\.com/api/(?:v\d{1,2}/)?webhooks/\d{1,25}/[\w-]{8,255}",
    "webhook.office.com/": r"webhook\.office\.com/webhookb2/[\w@/-]{8,400}",
    "/bot/v2/hook/": r"/open-apis/bot/v2/hook/[\w-]{8,64}",  # Lark
}
# The least that all of the above need: a run of so many characters.
_LONG_RUN = r"[A-Za-z0-9_.~-]{14}"

_PRIVATE_KEY = (
    r"-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,20}-{4,5}[^-]*(?:-(?!---)[^-]*)*"
    r"(?:-{4,5} ?END [A-Z0-9 ]{0,60}-{4,5})?|PuTTY-User-Key-File-\d:[\s\S]*"
)
_BEGIN_OF_PRIVATE_KEY = r"-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY"
_LINE_OF_PRIVATE_KEY = r"\s{0,16}[A-Za-z0-9+/]{0,256}={0,2}\s{0,4}|(?:Proc-Type|DEK-Info|Version|Comment): .*"
_END_OF_PRIVATE_KEY = r"-{4,5} ?END [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,20}-{4,5}"


def redact_shapes(text: str) -> str:
    if "KEY" in text or "PuTTY" in text:
        text = _redact_private_keys(text)
    if compiled(_LONG_RUN).search(text):
        text = _all_keys().sub(REDACTED, text)
        for mark, pattern in _KEYS_BY_MARK.items():
            if mark in text:
                text = compiled(pattern).sub(_without_key, text)
    return text


def redact_private_key_lines(items: "List[Any]") -> "List[Any]":
    """The list without the lines of private keys: what stands between the first and the last has no look of its own."""
    lines: "Set[int]" = set()
    begin = None
    for index, item in enumerate(items):
        if not isinstance(item, str) or "PRIVATE KEY" not in item:
            continue
        if compiled(_BEGIN_OF_PRIVATE_KEY).search(item):
            begin = index
        if compiled(_END_OF_PRIVATE_KEY).search(item):
            begin = _first_key_line(items, index) if begin is None else begin
            lines.update(range(begin, index + 1))
            begin = None
    if begin is not None:
        lines.update(range(begin, _last_key_line(items, begin) + 1))
    return [REDACTED if index in lines else item for index, item in enumerate(items)] if lines else items


def _first_key_line(items: "List[Any]", end: int) -> int:
    begin = end
    while begin and _is_key_line(items[begin - 1]):
        begin -= 1
    return begin


def _last_key_line(items: "List[Any]", begin: int) -> int:
    end = begin
    while end + 1 < len(items) and _is_key_line(items[end + 1]):
        end += 1
    return end


def _is_key_line(item: Any) -> bool:
    return isinstance(item, str) and compiled(_LINE_OF_PRIVATE_KEY).fullmatch(item) is not None


def _redact_private_keys(text: str) -> str:
    text = compiled(_PRIVATE_KEY).sub(REDACTED, text)
    if "END" not in text:
        return text
    ends = [match.end() for match in compiled(_END_OF_PRIVATE_KEY).finditer(text)]
    # One that is left lost its beginning when the text was cut.
    return REDACTED + text[ends[-1] :] if ends else text


def _without_key(match: "Match[str]") -> str:
    """The address of a service stays, what comes after it is the key."""
    found = match.group()
    for mark in ("/services/", "/workflows/", "/triggers/", "/webhooks/", "/webhookb2/", "/hook/"):
        head, separator, _ = found.partition(mark)
        if separator:
            return head + separator + REDACTED
    return REDACTED


@lru_cache(maxsize=None)
def _all_keys() -> "Pattern[str]":
    return compiled("(?<![A-Za-z0-9])(?:%s)" % _by_first_letter(alternatives(_KEYS)))


def alternatives(patterns: "Iterable[str]") -> "List[str]":
    """The patterns, each without a bar outside of brackets."""
    pieces = []
    for pattern in patterns:
        depth, piece = 0, ""
        for character in pattern:
            depth += (character == "(") - (character == ")")
            if character == "|" and not depth:
                pieces.append(piece)
                piece = ""
            else:
                piece += character
        pieces.append(piece)
    return pieces


def _by_first_letter(patterns: "Iterable[str]") -> str:
    """One choice by the first letter, then those that begin with it: most words are done after a few comparisons."""
    groups: "Dict[str, List[str]]" = {}
    for pattern in patterns:
        groups.setdefault(pattern[0], []).append(pattern[1:])
    return "|".join("%s(?:%s)" % (letter, "|".join(rest)) for letter, rest in groups.items())
