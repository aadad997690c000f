"""Secrets that must go and harmless texts that must stay, each with what it is and where it stands.

Every secret is put together from pieces, so that scanners of this repository find no key in it.
"""

import base64
import json
from typing import Any, List, NamedTuple, Tuple

KEY, LIST, NESTED, TEXT, COMMAND, URL = "key and value", "list", "nested", "text", "command line", "URL"


def made(length: int, alphabet: str = "q7Zp4mK9xW2vT5nB8cR3") -> str:
    return (alphabet * (length // len(alphabet) + 1))[:length]


def hexadecimal(length: int) -> str:
    return made(length, "3f9a0c7e1b8d2645")


def capitals(length: int) -> str:
    return made(length, "Q7ZP4MK2XW")


def digits(length: int) -> str:
    return made(length, "1928374650")


PASSWORD = made(14)
LINE = made(64)
PEM = ["-----BEGIN " + "RSA PRIVATE KEY-----", "MIIE" + LINE, LINE, "-----END " + "RSA PRIVATE KEY-----"]


class Secret(NamedTuple):
    """``secret`` stands in ``data`` and must not stand in what is left of it."""

    name: str
    context: str
    secret: str
    data: Any


def _provider(name: str, key: str) -> "Tuple[str, str]":
    return name, key


# The keys of providers that are known by their look.
PROVIDERS = [
    _provider("AWS access key", "AKIA" + capitals(16)),
    _provider("AWS temporary key", "ASIA" + capitals(16)),
    _provider("AWS Bedrock", "ABSK" + made(109) + "="),
    _provider("Google API key", "AIza" + made(35)),
    _provider("Google OAuth token", "ya29." + made(60)),
    _provider("Google OAuth secret", "GOCSPX-" + made(28)),
    _provider("Alibaba", "LTAI" + made(20)),
    _provider("Tencent", "AKID" + made(32)),
    _provider("Baidu", "bce-v3/" + "ALTAK-" + made(21) + "/" + hexadecimal(40)),
    _provider("GitHub personal token", "ghp_" + made(36)),
    _provider("GitHub OAuth token", "gho_" + made(36)),
    _provider("GitHub server token", "ghs_" + made(36)),
    _provider("GitHub fine-grained token", "github_pat_" + made(22) + "_" + made(59)),
    _provider("GitLab personal token", "glpat-" + made(20)),
    _provider("GitLab runner token", "glrt-" + made(20)),
    _provider("GitLab job token", "glcbt-" + "64_" + made(20)),
    _provider("GitLab registration token", "GR1348941" + made(20)),
    _provider("Atlassian", "ATATT3" + made(186)),
    _provider("Bitbucket", "ATBB" + made(32)),
    _provider("DigitalOcean personal token", "dop_v1_" + hexadecimal(64)),
    _provider("DigitalOcean OAuth token", "doo_v1_" + hexadecimal(64)),
    _provider("Databricks", "dapi" + hexadecimal(32)),
    _provider("Docker personal token", "dckr_pat_" + made(27)),
    _provider("Docker organization token", "dckr_oat_" + made(32)),
    _provider("npm", "npm_" + made(36)),
    _provider("PyPI", "pypi-" + "AgEIcHlwaS5vcmc" + made(60)),
    _provider("RubyGems", "rubygems_" + hexadecimal(48)),
    _provider("Heroku", "HRKU-" + "AA" + made(58)),
    _provider("Vault service token", "hvs." + made(95)),
    _provider("Vault batch token", "hvb." + made(140)),
    _provider("Vault old token", "s." + made(24)),
    _provider("Pulumi", "pul-" + hexadecimal(40)),
    _provider("Tailscale", "tskey-" + "auth-" + made(14) + "-" + made(32)),
    _provider("Doppler", "dp.pt." + made(43)),
    _provider("Terraform", made(14) + ".atlasv1." + made(67)),
    _provider("Cloudflare origin key", "v1.0-" + hexadecimal(24) + "-" + hexadecimal(146)),
    _provider("Fly", "fo1_" + made(43)),
    _provider("Supabase", "sbp_" + hexadecimal(40)),
    _provider("Supabase project", "sb_secret_" + made(31)),
    _provider("PlanetScale", "pscale_tkn_" + made(43)),
    _provider("Buildkite", "bkua_" + hexadecimal(40)),
    _provider("Sourcegraph", "sgp_" + hexadecimal(40)),
    _provider("SonarQube", "sqp_" + hexadecimal(40)),
    _provider("Postman", "PMAK-" + hexadecimal(24) + "-" + hexadecimal(34)),
    _provider("Artifactory", "AKCp" + made(69)),
    _provider("OpenShift", "sha256~" + made(43)),
    _provider("1Password service account", "ops_" + "eyJ" + made(250)),
    _provider("1Password secret key", "A3-" + capitals(6) + "-" + capitals(11) + "-" + "-".join([capitals(5)] * 3)),
    _provider("age", "AGE-SECRET-" + "KEY-1" + capitals(58)),
    _provider("Azure", made(3, "abc") + "8Q~" + made(34)),
    _provider("Infracost", "ico-" + made(32)),
    _provider("Hugging Face", "hf_" + made(34)),
    _provider("Hugging Face organization", "api_org_" + made(34)),
    _provider("wandb", "wandb_v1_" + made(40)),
    _provider("Kaggle", "KGAT_" + hexadecimal(32)),
    _provider("OpenAI", "sk-" + made(48)),
    _provider("OpenAI project", "sk-proj-" + made(74) + "_" + made(40)),
    _provider("OpenAI service account", "sk-svcacct-" + made(74)),
    _provider("Anthropic", "sk-ant-" + "api03-" + made(93) + "AA"),
    _provider("OpenRouter", "sk-or-" + "v1-" + hexadecimal(64)),
    _provider("DeepSeek", "sk-" + hexadecimal(32)),
    _provider("ElevenLabs", "sk_" + hexadecimal(48)),
    _provider("NVIDIA", "nvapi-" + made(64)),
    _provider("Groq", "gsk_" + made(52)),
    _provider("xAI", "xai-" + made(80)),
    _provider("Perplexity", "pplx-" + made(48)),
    _provider("Fireworks", "fw_" + made(24)),
    _provider("Cerebras", "csk-" + made(48)),
    _provider("Together", "tgp_v1_" + made(43)),
    _provider("Replicate", "r8_" + made(37)),
    _provider("RunPod", "rpa_" + capitals(40) + made(6)),
    _provider("Voyage", "pa-" + made(43)),
    _provider("Jina", "jina_" + made(60)),
    _provider("Tavily", "tvly-" + "dev-" + made(32)),
    _provider("LangSmith personal token", "lsv2_pt_" + hexadecimal(32) + "_" + hexadecimal(10)),
    _provider("LangSmith service key", "lsv2_sk_" + hexadecimal(32) + "_" + hexadecimal(10)),
    _provider("Langfuse", "sk-lf-" + hexadecimal(8) + "-" + hexadecimal(24)),
    _provider("Pinecone", "pcsk_" + made(6) + "_" + made(63)),
    _provider("E2B", "e2b_" + hexadecimal(40)),
    _provider("Firecrawl", "fc-" + hexadecimal(32)),
    _provider("LlamaCloud", "llx-" + made(48)),
    _provider("Anyscale", "esecret_" + made(40)),
    _provider("Neptune", "eyJhcGlf" + "YWRkcmVzcyI6" + made(80) + "=="),
    _provider("Modal token", "as-" + made(22)),
    _provider("Lambda", "secret_" + "team_" + hexadecimal(32) + "." + made(32)),
    _provider("Zhipu", hexadecimal(32) + "." + made(16)),
    _provider("Slack bot", "xoxb-" + digits(12) + "-" + digits(12) + "-" + made(24)),
    _provider("Slack app", "xapp-" + "1-" + capitals(11) + "-" + digits(13) + "-" + hexadecimal(64)),
    _provider("Discord bot", "M" + made(25) + "." + made(6) + "." + made(38)),
    _provider("Telegram bot", digits(10) + ":AA" + made(33)),
    _provider("Stripe", "sk_" + "live_" + made(24)),
    _provider("Stripe hook", "whsec_" + made(32)),
    _provider("Square", "sq0atp-" + made(22)),
    _provider("Shopify", "shpat_" + hexadecimal(32)),
    _provider("SendGrid", "SG." + made(22) + "." + made(43)),
    _provider("Mailgun", "key-" + hexadecimal(32)),
    _provider("Mailchimp", hexadecimal(32) + "-us12"),
    _provider("Twilio", "SK" + hexadecimal(32)),
    _provider("Brevo", "xkeysib-" + hexadecimal(64) + "-" + made(16)),
    _provider("Grafana service account", "glsa_" + made(32) + "_" + hexadecimal(8)),
    _provider("Grafana Cloud", "glc_" + made(80)),
    _provider("New Relic user key", "NRAK-" + capitals(27)),
    _provider("New Relic licence", hexadecimal(36) + "NRAL"),
    _provider("Dynatrace", "dt0c01." + capitals(24) + "." + capitals(64)),
    _provider("Sentry organization", "sntrys_" + "eyJ" + made(100)),
    _provider("Sentry user", "sntryu_" + hexadecimal(64)),
    _provider("Linear", "lin_api_" + made(40)),
    _provider("Notion", "ntn_" + digits(11) + made(35)),
    _provider("Notion, old", "secret_" + made(43)),
    _provider("Figma", "figd_" + made(40)),
    _provider("HubSpot", "pat-na1-" + hexadecimal(8) + "-" + hexadecimal(4) + "-" + hexadecimal(20)),
    _provider("Airtable", "pat" + made(14) + "." + hexadecimal(64)),
    _provider("JSON web token", "eyJ" + made(20) + ".eyJ" + made(40) + "." + made(43)),
]


def _in_turn(index: int, name: str, key: str) -> Secret:
    """The provider's key in one of the places where keys stand."""
    frames = (
        (KEY, key),
        (LIST, ["a", key, 3]),
        (NESTED, {"client": {"options": [{"v": key}]}}),
        (TEXT, "we use %s, for now" % key),
        (COMMAND, "python train.py --lr 0.1 --x=%s --bf16" % key),
        (URL, "https://host:8080/v1/%s?a=1" % key),
    )
    context, data = frames[index % len(frames)]
    return Secret(name, context, key, data)


def _keys(names: str) -> "List[Secret]":
    return [Secret(name, KEY, PASSWORD, {name: PASSWORD}) for name in names.split()]


def _texts(context: str, secret: str, *frames: str) -> "List[Secret]":
    return [Secret(frame[:40], context, secret, frame.replace("%s", secret)) for frame in frames]


SECRETS = [
    *(_in_turn(index, *provider) for index, provider in enumerate(PROVIDERS)),
    # Names
    *_keys(
        """token_hf access_token_value gh_tokens pw passcode pwd db_pw user_pass passWord pass_phrase token_prod
        OPENAI_KEY ANTHROPIC_KEY WANDB_KEY DATADOG_KEY DD_API_KEY DD_APP_KEY PINECONE_KEY COHERE_KEY GROQ_KEY
        TOGETHER_KEY PERPLEXITY_KEY LANGSMITH_KEY RUNPOD_KEY COMET_KEY NEW_RELIC_KEY key_openai GEMINI_KEY SENTRY_DSN
        github_pat GITLAB_PAT conn_str client-key-data client_key aws_secret_access_key_prod azure_storage_account_key
        huggingface_hub_token HUGGING_FACE_HUB_TOKEN bot_token sas_token jwt_secret secret_key_base slack_tokens
        oauthTokens PGPASSWORD MYSQL_PWD private_key_id registry_auth license_key pass"""
    ),
    Secret("everything in a token", NESTED, PASSWORD, {"token": {"prod": {"eu": PASSWORD}, "length": 5}}),
    Secret("list in a token", NESTED, PASSWORD, {"token": {"all": ["a", PASSWORD]}}),
    Secret("sweep's value", NESTED, PASSWORD, {"hf_token": {"desc": None, "value": PASSWORD}}),
    Secret("service and key", NESTED, PASSWORD, {"openai": {"key": PASSWORD}}),
    Secret("pass beside a user", NESTED, "correcthorse", {"smtp": {"user": "me", "pass": "correcthorse"}}),
    Secret("storage key", KEY, made(86), {"storage_key": made(86) + "=="}),
    Secret("licence in groups", KEY, "-".join([capitals(5)] * 5), {"license_key": "-".join([capitals(5)] * 5)}),
    Secret("Kubernetes env", LIST, PASSWORD, {"env": [{"name": "HF_TOKEN", "value": PASSWORD}]}),
    Secret("pairs", LIST, PASSWORD, {"env": [["HF_TOKEN", PASSWORD], ["LR", "0.1"]]}),
    Secret(
        "kubeconfig",
        NESTED,
        made(80),
        {"users": [{"name": "me", "user": {"client-certificate-data": "LS0t", "client-key-data": made(80) + "=="}}]},
    ),
    Secret("Docker config", NESTED, PASSWORD, {"auths": {"registry.host.com": {"auth": PASSWORD}}}),
    Secret(
        "Google service account",
        NESTED,
        LINE,
        {"type": "service_account", "private_key": "\n".join(PEM), "client_email": "me@host.com"},
    ),
    Secret("Google service account in a text", TEXT, LINE, json.dumps({"a": json.dumps({"x": "\n".join(PEM)})})),
    # Private keys
    Secret("lines of a private key", LIST, LINE, PEM),
    Secret("lines of a private key, indented", LIST, LINE, ["  " + line for line in PEM]),
    Secret("lines of a private key, no end", LIST, LINE, ["x", *PEM[:3]]),
    Secret("lines of a private key, no beginning", LIST, LINE, PEM[1:]),
    Secret("lines of a private key between others", LIST, LINE, ["a b", *PEM, "c d"]),
    Secret("lines of a private key that look like nothing", LIST, "zebra", [PEM[0], "zebra, 1!", PEM[3], "b"]),
    Secret("lines with a header", LIST, LINE, [PEM[0], "Proc-Type: 4,ENCRYPTED", "", LINE]),
    Secret("private key in a text", TEXT, LINE, "\n".join(PEM)),
    Secret("private key, first line cut off", TEXT, LINE, "\n".join(PEM[1:])),
    Secret("private key, last line cut off", TEXT, LINE, "\n".join(PEM[:3])),
    Secret("OpenPGP key", TEXT, LINE, "-----BEGIN PGP " + "PRIVATE KEY BLOCK-----\n\n" + LINE),
    Secret("SSH2 key", TEXT, LINE, "---- BEGIN SSH2 ENCRYPTED " + "PRIVATE KEY ----\n" + LINE + "\n---- END"),
    Secret("PuTTY key", TEXT, LINE, "PuTTY-User-Key-File-2: ssh-rsa\nPrivate-Lines: 1\n" + LINE),
    # Command lines
    *_texts(
        COMMAND,
        PASSWORD,
        "curl -u me:%s https://host/api",
        "curl --user me:%s https://host/api",
        "curl -s -X POST --user 'me:%s' -d a=b host",
        "curl --proxy-user me:%s host",
        "curl -H 'Authorization: Bearer %s' host",
        'curl -H "X-Api-Key: %s" host',
        "sshpass -p %s ssh me@host",
        "sshpass -p'%s' ssh me@host",
        "mysql -u root -p%s db",
        "mysqldump -h host -p%s --all-databases",
        "redis-cli -h host -a %s ping",
        "docker login -u me -p %s registry.host.com",
        "docker run -e HF_TOKEN=%s -e LR=0.1 image",
        "docker run --env=WANDB_API_KEY=%s image",
        "mongosh -u me -p %s",
        "kubectl create secret generic x --from-literal=anything=%s",
        "openssl rsa -in key.pem -passin pass:%s",
        "aws configure set aws_secret_access_key %s",
        "export PGPASSWORD=%s; psql",
        "HF_TOKEN=%s python train.py",
        "python train.py --hub_token %s",
        "python train.py ++trainer.logger.api_key=%s lr=0.1",
        "git clone https://oauth2:%s@gitlab.com/a/b.git",
        "npm config set //registry.host.com/:_authToken=%s",
        "huggingface-cli login --token %s",
    ),
    *_texts(COMMAND, hexadecimal(40), "wandb login %s", "wandb login --relogin %s", "WANDB_KEY=%s python a.py"),
    Secret("curl taken apart", LIST, PASSWORD, ["/usr/bin/curl", "-u", "me:" + PASSWORD, "https://host"]),
    Secret("sshpass taken apart", LIST, PASSWORD, ["sshpass", "-p", PASSWORD, "ssh", "host"]),
    Secret("mysql taken apart", LIST, PASSWORD, ["mysql", "-u", "root", "-p" + PASSWORD]),
    Secret("option taken apart", LIST, PASSWORD, ["train.py", "--hub_token", PASSWORD, "--lr", "0.1"]),
    Secret("docker taken apart", LIST, PASSWORD, ["docker", "run", "-e", "API_KEY=" + PASSWORD, "image"]),
    # Texts
    *_texts(
        TEXT,
        PASSWORD,
        "machine host.com login me password %s",
        "machine host.com\n  login me\n  password %s\n",
        "default login me password %s",
        "host=db port=5432 user=me password=%s dbname=x",
        "Server=db;Uid=me;Pwd=%s;Database=x",
        "user: me\npassword: %s\nlr: 1",
        "password: |\n  %s\nlr: 1",
        "{'api_key': '%s', 'lr': 0.1}",
        '{"name": "HF_TOKEN", "value": "%s"}',
        "- name: HF_TOKEN\n  value: %s\n- name: LR\n  value: 1",
        "Namespace(lr=0.1, hub_token='%s', seed=1)",
        "hub_token=%s,\nlr=0.1",
        "Cookie: session=%s",
        "failed with api_key=%s: 401",
        "token: %s",
    ),
    # Addresses
    *_texts(
        URL,
        PASSWORD,
        "me:%s@host:5432/db",
        "me:%s@db.host.com/name",
        "me:%s@localhost:6379",
        "postgresql+psycopg2://me:%s@host/db",
        "redis://:%s@host:6379/0",
        "mongodb+srv://me:%s@cluster.host.net/db?retryWrites=true",
        "amqp://me:%s@host//",
        "jdbc:postgresql://host/db?user=me&password=%s",
        "jdbc:oracle:thin:scott/%s@host:1521:x",
        "https://host/a?access_token=%s&b=2",
        "https://account.blob.core.windows.net/c?sv=2022&sp=r&sig=%s",
        "https://bucket.s3.amazonaws.com/a?X-Amz-Signature=%s",
        "DefaultEndpointsProtocol=https;AccountName=x;AccountKey=%s==;EndpointSuffix=core.windows.net",
        "Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=r;SharedAccessKey=%s=",
        "https://discord.com/api/webhooks/123456789/%s",
        "https://hooks.slack.com/services/T0/B0/%s",
        "https://team.webhook.office.com/webhookb2/%s",
        "https://open.feishu.cn/open-apis/bot/v2/hook/%s",
        "https://oapi.dingtalk.com/robot/send?access_token=%s",
    ),
    *_texts(URL, hexadecimal(32), "https://%s@o1.ingest.sentry.io/2", "https://qyapi.weixin.qq.com/send?key=%s"),
    *_texts(URL, digits(10) + ":AA" + made(33), "https://api.telegram.org/bot%s/sendMessage"),
    Secret("Basic", TEXT, "bWU6", "Authorization: Basic " + base64.b64encode(b"me:" + PASSWORD.encode()).decode()),
]

# Each comes out as it went in.
HARMLESS: "List[Any]" = [
    # Names that sound like secrets
    *(
        {name: value}
        for name, value in (
            ("pass", "forward"),
            ("pass", "second"),
            ("license_key", "mit"),
            ("license_key", "apache-2.0"),
            ("license_key", "cc-by-nc-4.0"),
            ("storage_key", "bucket/path"),
            ("storage_key", "datasets/pile/train-00012.parquet"),
            ("service_key", "trainer"),
            ("api_key_env", "OPENAI_API_KEY"),
            ("api_key", "OPENAI_API_KEY"),
            ("token", "HF_TOKEN"),
            ("password", "${DB_PASSWORD}"),
            ("hf_token", "${oc.env:HF_TOKEN}"),
            ("hf_token", "$HF_TOKEN"),
            ("api_key", "{{ secrets.OPENAI_API_KEY }}"),
            ("api_key", "********"),
            ("hub_token", "<HUB_TOKEN>"),
            ("token", "none"),
            ("password", "None"),
            ("auth", "basic"),
            ("use_auth_token", "true"),
            ("password_policy", "strict"),
            ("password_file", "/run/secrets/db"),
            ("secret_name", "hf-credentials"),
            ("secret_manager", "vault"),
            ("credentials_path", "/home/me/.config/gcloud"),
            ("token_file", "/var/run/token"),
            ("GOOGLE_TOKEN", "/var/run/secrets/kubernetes.io/serviceaccount/token"),
            ("PWD", "/home/me/project"),
            ("token_type", "bearer"),
            ("token_url", "https://host/oauth/token"),
            ("subword_token", "##ing"),
            ("wordpiece_token", "##ing"),
            ("pad_token", "[PAD]"),
            ("mask_token", "mask"),
            ("image_token", "<image>"),
            ("think_end_token", "</think>"),
            ("system_token", "SYSTEM:"),
            ("pad_token_value", "zero"),
            ("token_dropout", "uniform"),
            ("token_mixer", "attention"),
            ("token_pooling_strategy", "mean-of-last-4-layers"),
            ("tokens_per_second", 12345),
            ("max_tokens", 4096),
            ("max_new_tokens", "256"),
            ("num_secrets", 5),
            ("secret_size", 64),
            ("tokens", ["a", "b"]),
            ("stop_tokens", ["</s>", "Human:"]),
            ("tokenizer", "meta-llama/Llama-3-8B"),
            ("tokenizer_config", {"padding_side": "left"}),
            ("token", {"max_length": 5, "type": "bpe", "padding": "left"}),
            ("sort_key", "created_at"),
            ("prng_key", [0, 42]),
            ("public_key", "ssh-rsa AAAAB3NzaC1yc2E"),
            ("ssh_public_key", "ssh-ed25519 AAAAC3NzaC1lZDI1"),
            ("primary_key", "run_id"),
            ("foreign_key", "workload_id"),
            ("partition_key", "2024-01-01"),
            ("cache_key", hexadecimal(32)),
            ("dict_key", "model.layers.0.self_attn.q_proj.weight"),
            ("batch_key", "input_ids"),
            ("key_value_heads", "eight"),
            ("attn_key_proj", "linear"),
            ("linear_key", "query_and_key"),
            ("keyboard", "qwerty1234567"),
            ("monkey", "see"),
            ("compass", "north12345"),
            ("bypass", "residual1x1"),
            ("forward_pass", "fused_kernel_v2"),
            ("encoder_pw", "conv1x1"),
            ("conv_pw", "pointwise_v2"),
            ("author", "somebody"),
            ("authors", ["a", "b"]),
            ("secretary", "problem"),
            ("patience", "five epochs"),
            ("pattern", "xyz123"),
            ("spatial_pat", "checkerboard"),
            ("client-certificate-data", "LS0tLS1CRUdJTiBDRVJU"),
            ("certificate-authority-data", "LS0tLS1CRUdJTiBDRVJU"),
            ("secretKeyRef", {"name": "hf-credentials", "key": "token"}),
        )
    ),
    # Numbers, hashes, names of models, paths
    {"token": 5, "pass": 1, "pw": 2, "license_key": 3, "hf_token": False, "password": None, "secret": 0.5},
    hexadecimal(40),
    hexadecimal(64),
    "commit " + hexadecimal(40),
    "3f9a0c7e-1b8d-2645-3f9a-0c7e1b8d2645",
    "sha256:" + hexadecimal(64),
    "pytorch/pytorch:2.1.0-cuda12.1@sha256:" + hexadecimal(64),
    "registry.host.com:5000/team/image:v1.2.3",
    "sk-learn-based-model-with-a-long-name",
    "sk-learn==1.3.0",
    "hf_hub_download",
    "hf_internal_testing/tiny-random-gpt2",
    "hf_xet==1.1.2",
    "meta-llama/Llama-3.1-70B-Instruct",
    "fw_bw_overlap_with_reduce_scatter",
    "pa-large-model-with-relative-position-and-rotary",
    "re_training_of_internationalization",
    "ghost_batch_norm_with_long_name",
    "npm_modules_are_not_installed_here_at_all",
    "key-value-store-of-the-attention-layers",
    "transformers.models.llama.modeling_llama.LlamaForCausalLM",
    "torch.optim.lr_scheduler.CosineAnnealingWarmRestarts",
    "/mnt/shared/checkpoints/global_step_12000/zero_pp_rank_3_mp_rank_00_optim_states.pt",
    "~/.ssh/id_ed25519",
    "C:\\Users\\me\\AppData\\Local\\wandb",
    # Addresses
    "https://host/path?code=42",
    "https://host/path?key=loss&step=1",
    "https://host:8080/path?step=1&name=a",
    "http://10.0.0.1:8080",
    "tcp://10.0.0.1:29500",
    "ssh://git@github.com/org/repo",
    "git@github.com:org/repo.git",
    "s3://bucket/path/to/data",
    "abfss://container@account.dfs.core.windows.net/x",
    "me@example.com",
    "mailto:me@example.com",
    "user@host",
    "rsync me@host:/data/a /data/b",
    "12:30@2024-01-01",
    "2024-01-01T12:30:55+00:00",
    "10:00@host:22/x",
    "npm:@scope/package@1.2.3",
    "train[:10%]@v2",
    # Prose, code and command lines
    "next token: the",
    "Next token: international",
    "Tokens: 5. Basic understanding of things",
    "loss per token: 0.5",
    "the bearer authentication scheme is used",
    "the machine that runs this has no password",
    "def f(key: str, token: int, password: Optional[str] = None) -> None",
    "lambda key: key.lower()",
    "note: see the key: it is short",
    "learning rate: 0.1, batch size: 32, warm-up: 10%",
    "torchrun --nproc_per_node 8 train.py --max_tokens 4096 --tokenizer gpt2 --eos_token '</s>'",
    "lr=0.1,max_tokens=100,pad_token=<pad>",
    "docker run -u 1000:1000 --user 1000:1000 image",
    "ssh -p 22 host",
    "python -m pdb -p 4000 -a all",
    "mkdir -p /data/a && curl https://host/a -o b",
    "mysql -u root db",
    "kubectl -n prod logs pod",
    "wandb login",
    "export HF_TOKEN=$HF_TOKEN",
    ["python", "train.py", "--token", "--lr", "0.1"],
    ["BEGIN", "END", "-----"],
    "-----BEGIN " + "CERTIFICATE-----\nMIIC" + made(60) + "\n-----END CERTIFICATE-----",
    "-----BEGIN " + "PUBLIC KEY-----\nMIIB" + made(60) + "\n-----END PUBLIC KEY-----",
]
