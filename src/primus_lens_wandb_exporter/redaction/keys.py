"""How much a key tells about what it names: nothing, or that it is a secret."""

import os
import re
from functools import lru_cache
from typing import FrozenSet, Pattern, Tuple

EXTRA_KEYS_VARIABLE = "PRIMUS_LENS_WANDB_REDACT_KEYS"

# Ours is a secret whatever it looks like, a number too.
_OWN_TOKEN = "PRIMUS_LENS_API_TOKEN"

# NOTHING. ODD: a secret if it looks like one (`license_key`). TOKEN: any text, while numbers are counts. SECRET: whole
# numbers too. NAMED_BY_USER: whatever it is, but for floats and booleans.
NOTHING, ODD, TOKEN, SECRET, NAMED_BY_USER = range(5)

_LONGEST_KEY = 256


def words_of(text: str) -> "FrozenSet[str]":
    return frozenset(text.split())


# One word of a key, or the end of one written together ("dbpassword", "clientsecret").
_SECRET_ENDINGS = tuple(
    words_of(
        """password passwords passwd passphrase passphrases passcode passcodes pswd secret secrets credential
        credentials apikey apikeys privatekey accesskey secretkey authkey authtoken accesstoken apitoken bearertoken
        refreshtoken authtokens accesstokens apitokens connectionstring"""
    )
)
_SECRET_WORDS = words_of(
    """authorization cookie cookies bearer creds dsn dbpass dbpwd userpass rootpass adminpass sqlpass mysqlpass ftppass
    sshpass smtppass redispass"""
)
# Two words that are one: "pass word", "conn str".
_SECRET_PAIRS = words_of(
    "pass-word pass-phrase pass-code connection-string connection-str conn-string conn-str seed-phrase"
)
# Services whose "X key" and "tokens of X" are secrets; none of these words means anything else in a config.
_SERVICES = words_of(
    """openai ai anthropic claude gemini vertex mistral cohere groq together fireworks perplexity pplx openrouter
    deepseek voyage voyageai jina tavily serpapi serper firecrawl elevenlabs assemblyai deepgram replicate runpod
    anyscale cerebras sambanova xai moonshot kimi zhipu zhipuai dashscope siliconflow minimax volcengine hf huggingface
    hub wandb wb ngc nvidia comet neptune clearml langsmith langchain langfuse kaggle roboflow labelbox pinecone
    weaviate qdrant zilliz aws azure gcp google alibaba aliyun oss tencent cloudflare digitalocean linode vultr hetzner
    scaleway coreweave heroku vercel netlify supabase planetscale databricks snowflake github gh gitlab gl bitbucket
    circleci jira confluence atlassian datadog dd relic newrelic grafana sentry pagerduty opsgenie sendgrid mailgun
    mailchimp twilio stripe paypal plaid shopify slack discord telegram tg okta doppler pulumi tailscale npm pypi
    docker dockerhub snyk sonar codecov algolia mapbox firebase"""
)
# X in "X key": which keys are secrets. Others (sort_key, prng_key, public_key) are not.
_KEY_OWNERS = _SERVICES | words_of(
    """access api app private secret encryption decryption signing ssh gpg pgp rsa account master auth deploy client
    unseal fernet hmac jwt"""
)
# X in "X key" that is a secret in one program and a name in another.
_ODD_KEY_OWNERS = words_of("license licence storage service subscription admin login webhook notion linear")
# X in "X pass", "X pwd" and "X pw"; "backward_pass" is none.
_PASS_OWNERS = _SERVICES | words_of(
    """db database user root admin smtp sql mysql postgres pg redis mongo ftp ssh proxy sudo app login email mail wifi
    vpn registry git http https keystore truststore client host server ldap es elastic elasticsearch rabbitmq amqp neo
    clickhouse jupyter my api key account"""
)
# X in "X token" when it is one of a tokenizer's own, which are texts but no secrets.
_TOKENIZER_WORDS = words_of(
    """pad eos bos unk mask sep cls image video audio speech special start end stop begin additional prompt next
    first last im vision boi eoi eot eom eod eoh eob fim prefix suffix middle think thinking tool per ignore separator
    delimiter class target source text reward newline summary query latent memory register placeholder new
    trigger word subword sub wordpiece piece byte char character patch pooling reasoning answer assistant system human
    sentinel unknown padding mean object region task language lang role turn action state observation question
    context response instruction chat img aud vid ctx"""
)
_NO_TOKENS = words_of("subtoken detoken pretoken multitoken")
# X in "X tokens" when those are secrets and not counts.
_TOKENS_OWNERS = _SERVICES | words_of("auth access api bearer refresh secret oauth jwt bot session user")
# Y in "token Y" when that is still the token itself; "token_type", "token_dropout" are not.
_TOKEN_SUFFIXES = _SERVICES | words_of(
    "value secret string str raw plain plaintext base b prod production staging stage dev read write readonly admin bot"
)
_PERSONAL_ACCESS_TOKEN_OWNERS = words_of("github gh gitlab gl azure devops ado databricks bitbucket airtable git")
# Y in "password Y", "api key Y": something about the secret, not the secret.
_ABOUT = words_of(
    """policy env envvar var variable file filename path dir directory folder name names type kind length len size dim
    count num limit ttl expiry expires expiration expired rotation required enabled disabled provider providers strategy
    scope scopes url uri endpoint header headers prefix suffix field column mode algorithm algo backend manager store
    format pattern regex ref arn source location loss acc accuracy score weight pub public version index rule rules
    validator strength min max age level budget rate ratio bits description desc label alias region port timeout method
    class schema group role owner user username login helper at date time status state"""
)
# "num_secrets" is a count.
_COUNTING = words_of("num n count max min total len use has is")

# The words of snake_case, kebab-case, camelCase, dotted and SCREAMING keys; digits separate and count for nothing.
_WORD = r"[A-Z]{1,64}(?![a-z])|[A-Z]?[a-z]{1,64}|[A-Z]"


@lru_cache(maxsize=None)
def compiled(pattern: str) -> "Pattern[str]":
    """Compiled at first use: importing the exporter must not cost the milliseconds that all patterns take."""
    return re.compile(pattern)


def extra_keys() -> "FrozenSet[str]":
    return _parse_extra_keys(os.environ.get(EXTRA_KEYS_VARIABLE, ""))


@lru_cache(maxsize=8)
def _parse_extra_keys(text: str) -> "FrozenSet[str]":
    """Our own and the user's keys, as words joined by blanks: "InternalUrl" and "internal-url" are the same key."""
    return frozenset(" ".join(words(name)) for name in (_OWN_TOKEN, *text.split(",")) if words(name))


@lru_cache(maxsize=1024)
def words(key: str) -> "Tuple[str, ...]":
    return tuple(word.lower() for word in compiled(_WORD).findall(key[-_LONGEST_KEY:]))


@lru_cache(maxsize=8192)
def is_about(key: str) -> bool:
    """Whether what stands under the key only describes something: its type, its file, its length."""
    parts = words(key)
    return bool(parts) and parts[-1] in _ABOUT


@lru_cache(maxsize=8192)
def level_of(key: str, extra: "FrozenSet[str]") -> int:
    parts = words(key)
    if not parts:
        return NOTHING
    if extra:
        joined = " %s " % " ".join(parts)
        if any(" %s " % name in joined for name in extra):
            return NAMED_BY_USER
    last, before = parts[-1], parts[-2] if len(parts) > 1 else ""
    if _names_a_secret(parts, last, before):
        return TOKEN if parts[0] in _COUNTING else SECRET
    if last in _ABOUT:
        return NOTHING
    return max(_level_of_words(parts), _level_of_key_of(parts), _level_of_token(parts, last, before))


def _names_a_secret(parts: "Tuple[str, ...]", last: str, before: str) -> bool:
    if last.endswith(_SECRET_ENDINGS) or last in _SECRET_WORDS or before + "-" + last in _SECRET_PAIRS:
        return True
    if last in ("key", "keys"):
        return before in _KEY_OWNERS
    if last in ("pass", "pwd", "pw"):
        return before in _PASS_OWNERS
    return last == "auth" and len(parts) <= 2


def _level_of_words(parts: "Tuple[str, ...]") -> int:
    if parts[-1] == "pass" or parts == ("pat",):
        return ODD
    # password_hash, secret_dim: a number there is no secret, a text may be.
    if parts in (("pwd",), ("pw",)) or any(part.endswith(_SECRET_ENDINGS) or part in _SECRET_WORDS for part in parts):
        return TOKEN
    return TOKEN if parts[-1] == "pat" and parts[-2:-1] and parts[-2] in _PERSONAL_ACCESS_TOKEN_OWNERS else NOTHING


def _level_of_key_of(parts: "Tuple[str, ...]") -> int:
    """Of "X key" anywhere, as in AWS_SECRET_ACCESS_KEY_PROD or key_openai."""
    level = ODD if parts[-1] in ("key", "keys") and not _SERVICES.isdisjoint(parts) else NOTHING
    for index, part in enumerate(parts):
        if part not in ("key", "keys"):
            continue
        before = parts[index - 1] if index else ""
        if before in _KEY_OWNERS or (parts[index + 1 : index + 2] and parts[index + 1] in _SERVICES):
            return TOKEN
        if before in _ODD_KEY_OWNERS:
            level = ODD
    return level


def _level_of_token(parts: "Tuple[str, ...]", last: str, before: str) -> int:
    if last == "tokens":
        return TOKEN if before in _TOKENS_OWNERS else NOTHING
    if last.endswith("token") and last not in _NO_TOKENS:
        return NOTHING if before in _TOKENIZER_WORDS else TOKEN
    for index, part in enumerate(parts):
        if part in ("token", "tokens") and (not index or parts[index - 1] not in _TOKENIZER_WORDS):
            following = parts[index + 1 :]
            return TOKEN if following and all(word in _TOKEN_SUFFIXES for word in following) else NOTHING
    return NOTHING
