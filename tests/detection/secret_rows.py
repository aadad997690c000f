"""Secrets that must go, each with what it is and where it stands; put together, so that scanners find none here."""

import base64
import json
from typing import Any, List, NamedTuple

from .provider_keys import PROVIDERS, capitals, digits, hexadecimal, made

KEY, LIST, NESTED, TEXT, COMMAND, URL = "key and value", "list", "nested", "text", "command line", "URL"

PASSWORD = made(14)
LINE = made(64)
PEM = ["-----BEGIN " + "RSA PRIVATE KEY-----", "MIIE" + LINE, LINE, "-----END " + "RSA PRIVATE KEY-----"]


class Secret(NamedTuple):
    """``secret`` stands in ``data`` and must not stand in what is left of it."""

    name: str
    context: str
    secret: str
    data: Any


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
        "unzip -q -P %s data.zip",
        "zip -P '%s' data.zip data",
        "7z x -p%s data.7z",
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
# As people write the configs and command lines of trainings.
SECRETS += [
    *_keys(
        """access_tokens accessTokenValue admin_pw ANTHROPIC_AUTH_TOKEN api_secret apiSecret app_secret auth_key authkey
        authToken aws_credentials AWS_SECRET aws_secret AWS_SESSION_TOKEN awsSecretKey azure_devops_pat
        AZURE_OPENAI_API_KEY AZURE_OPENAI_KEY azureKey bearer_token CF_API_TOKEN CI_JOB_TOKEN claude_key
        CLEARML_API_SECRET_KEY clearml_secret_key client-secret CLIENT_SECRET cloudflare_api_token
        COMET_API_KEY consul_token consumer_secret cookie_secret COREWEAVE_TOKEN credential creds csrf_token
        databricks_token DATABRICKS_TOKEN DATADOG_API_KEY dataverse_token db_creds DB_PASSWD dbPassword
        DEEPINFRA_TOKEN DISCORD_BOT_TOKEN discord_token ELASTIC_PASSWORD EMAIL_HOST_PASSWORD encryption_key
        es_password fernet_secret figshare_token FIREWORKS_API_KEY gcs_hmac_secret gemini_api_key GH_TOKEN
        ghTokens GITHUB_PAT GITLAB_TOKEN GOOGLE_API_KEY gpg_passphrase grafana_token HF_API_KEY hf_api_key
        HF_HUB_TOKEN hf_key hfApiToken hmac_secret huggingface_token HUGGINGFACEHUB_API_TOKEN id_token idToken
        JWT_SECRET_KEY jwt_token kaggle_key keystorePassword label_studio_token LAMBDA_API_KEY
        LANGCHAIN_API_KEY langfuse_secret_key mailgun_key master_password MINIO_ROOT_PASSWORD minio_secret_key
        MLFLOW_TRACKING_TOKEN modal_token_secret NEPTUNE_API_TOKEN NEW_RELIC_API_KEY NEW_RELIC_LICENSE_KEY
        newrelic_key ngc_api_key NGC_CLI_API_KEY nomad_token NPM_TOKEN NVIDIA_API_KEY oauth_secret oauth_token
        OPENAI_API_TOKEN openai_org_key openaiKey PAGERDUTY_KEY passwd passwords pinecone_api_key private_key
        PRIVATE_KEY_PEM privatekey pswd PYPI_TOKEN QDRANT_API_KEY redis_pass refreshToken REPLICATE_API_TOKEN
        ROBOFLOW_API_KEY rootPassword S3_ACCESS_KEY s3_secret s3_secret_key SECRET_KEY secret_key secretkey
        SENDGRID_API_KEY SENTRY_AUTH_TOKEN sentry_dsn service_account_key serviceAccountKey session_token
        shared_secret signing_key signing_secret SLACK_BOT_TOKEN slackToken SMTP_PASS snowflake_password
        SNOWFLAKE_PRIVATE_KEY ssh_passphrase ssh_private_key sshPass stripe_key STRIPE_SECRET_KEY
        tailscale_authkey TELEGRAM_BOT_TOKEN telegram_token TOGETHER_API_KEY token_github token_value tokenHf
        tokens_gitlab TS_AUTHKEY TWILIO_AUTH_TOKEN TWINE_PASSWORD unseal_key userPassword VAST_API_KEY
        VAULT_TOKEN vault_token WANDB_API_TOKEN wandb_key wandbApiKey wandbKey weaviate_key webhook_secret
        x_auth_token zenodo_token"""
    ),
    *_texts(
        COMMAND,
        PASSWORD,
        "python train.py model=gpt2 logger.wandb.api_key=%s trainer.max_steps=100",
        "accelerate launch --mixed_precision bf16 train.py --hub_token=%s",
        "export AWS_SECRET_ACCESS_KEY='%s' && python a.py",
        'set -x; export OPENAI_API_KEY="%s"',
        "docker run --gpus all -e WANDB_API_KEY=%s -v /data:/data img",
        "docker run --gpus all -e 'HF_TOKEN=%s' img",
        "singularity exec --env HF_TOKEN=%s,LR=1 img.sif python a.py",
        "srun --export=ALL,WANDB_API_KEY=%s python train.py",
        "sbatch --export=HF_TOKEN=%s,NCCL_DEBUG=INFO job.sh",
        "env HF_TOKEN=%s python",
        'ray job submit --runtime-env-json \'{"env_vars": {"HF_TOKEN": "%s"}}\' -- python a.py',
        "rclone copy :s3,access_key_id=a,secret_access_key=%s:bucket .",
        "az storage blob upload --account-key %s -f a",
        "az login --service-principal -u app -p %s --tenant t",
        "ngc --api-key %s",
        "ssh-keygen -t rsa -N %s -f a",
        "mysql --user=root --password=%s -e 'select 1'",
        "mysql -uroot -p%s",
        'password = "%s"',
        "password => %s",
        "api key = %s",
        "openai.api_key = '%s'",
        "client = OpenAI(api_key='%s')",
        "set HF_TOKEN=%s",
        "--build-arg HF_TOKEN=%s",
        "%env HF_TOKEN=%s",
        "!huggingface-cli login --token %s --add-to-git-credential",
        "hf auth login --token %s",
        "Data Source=h;User ID=sa;Password=%s",
        "--set auth.password=%s --set image.tag=1",
        "helm install x --set-string wandb.apiKey=%s",
        "terraform apply -var 'db_password=%s'",
        "ansible-playbook -e 'ansible_become_pass=%s'",
        "ray start --head --redis-password=%s",
        "ray start --redis-password %s",
        "jupyter lab --ServerApp.token=%s",
        "jupyter lab --NotebookApp.password='%s'",
        "tensorboard --load_fast=false; vllm serve m --api-key %s",
        "python -m sglang.launch_server --api-key=%s",
        "gradio --auth me:%s",
        "git config --global http.extraheader 'AUTHORIZATION: basic %s'",
        "ARG HF_TOKEN=%s",
        "-H 'PRIVATE-TOKEN: %s'",
    ),
    *_texts(
        URL,
        PASSWORD,
        "wget --user=me --password=%s https://host/f",
        "wget --header='Authorization: Bearer %s' https://host/f",
        'curl -L -H "Authorization: token %s" https://api.github.com',
        "curl https://me:%s@host/f",
        'curl -XPOST -u"me:%s" https://host/f',
        "pip install --extra-index-url https://__token__:%s@host/simple torch",
        "pip install git+https://%s@github.com/org/private.git",
        "git+https://user:%s@github.com/org/private.git#egg=x",
        "mlflow server --backend-store-uri postgresql://mlflow:%s@db:5432/mlflow",
        "db_url: mysql+pymysql://root:%s@10.0.0.4:3306/optuna",
        "optuna.create_study(storage='postgresql://u:%s@h/o')",
        "redis://default:%s@h:6379",
        "storage=me:%s@10.0.0.4:3306/optuna",
        "https://storage.googleapis.com/b/o?X-Goog-Signature=%s&x=1",
        "https://huggingface.co/a/b/resolve/main/f?token=%s",
        "https://api.wandb.ai/graphql?api_key=%s",
        "mongodb+srv://u:%s@c.mongodb.net",
        "me:%s@10.1.2.3:5432/optuna",
        "jdbc:sqlserver://h;user=sa;password=%s;",
        "http://h:8888/lab?token=%s",
        "ssh://me:%s@host:22",
        "ftp://me:%s@host/f",
        "smb://me:%s@host/f",
        "registry=https://h/\n_auth=%s\n",
    ),
    *_texts(
        TEXT,
        PASSWORD,
        "+hub.token=%s",
        "WANDB_API_KEY=%s HF_TOKEN=abc torchrun --nproc_per_node=8 train.py",
        "kaggle_key=%s",
        "KAGGLE_USERNAME=me\nKAGGLE_KEY=%s",
        "comet_api_key: %s\nlr: 3e-4",
        "neptune.init(api_token='%s', project='a/b')",
        "MLFLOW_TRACKING_PASSWORD=%s",
        "AWS_ACCESS_KEY_ID=x\nAWS_SECRET_ACCESS_KEY=%s\nAWS_DEFAULT_REGION=us-east-1",
        "[default]\naws_access_key_id = x\naws_secret_access_key = %s",
        "TrainingArguments(output_dir='a', hub_token='%s', hub_strategy='every_save')",
        "hub_token=%s,\nignore_data_skip=False,",
        "Namespace(lr=0.1, wandb_key='%s', openai_key=None)",
        '{"args": ["--lr", "0.1"], "env": {"HF_TOKEN": "%s"}}',
        '"{\\"cfg\\": {\\"auth\\": {\\"token\\": \\"%s\\"}}}"',
        'env:\n- name: WANDB_API_KEY\n  value: "%s"\n',
        "apiVersion: v1\nkind: Secret\nstringData:\n  password: %s\n",
        "secrets:\n  hf: x\n  wandb_token: %s",
        "database:\n  user: a\n  pass: %s\n",
        "PGPASSWORD=%s psql -h h",
        "password='%s'",
        "'password': '%s'",
        "<password>%s</password>",
        "password:%s",
        "API Key: %s",
        "Access Token: %s",
        "aws_session_token=%s+/==",
        "os.environ['HF_TOKEN'] = '%s'",
        'os.environ["WANDB_API_KEY"]="%s"',
        "os.environ.setdefault('HF_TOKEN', '%s')",
        'login(token="%s")',
        "wandb.login(key='%s')",
        "setenv HF_TOKEN %s",
        "$env:HF_TOKEN = '%s'",
        "ENV HF_TOKEN %s",
        "HF_TOKEN: %s",
        'hf-token: "%s"',
        "RAY_REDIS_PASSWORD=%s ray start --head",
        "//npm.pkg.github.com/:_authToken=%s",
        "[pypi]\nusername = __token__\npassword = %s\n",
        "machine api.wandb.ai\n  login user\n  password %s",
        "machine api.wandb.ai login user password %s machine b login c password d",
        '{"auths": {"nvcr.io": {"username": "$oauthtoken", "password": "%s"}}}',
        '[{"name": "WANDB_API_KEY", "value": "%s"}]',
        '{\n "name": "WANDB_API_KEY",\n "value": "%s"\n}',
        "WANDB_API_KEY: !!str %s",
        "wandb_api_key:   '%s'   # personal",
        "WANDB_API_KEY\t=\t%s",
        "  - WANDB_API_KEY=%s",
        'HF_TOKEN="%s" \\\n python a.py',
        "HfApi(token='%s')",
        "load_dataset('a/b', use_auth_token='%s')",
        "from_pretrained('a', token=\"%s\")",
        "os.getenv('HF_TOKEN', '%s')",
        'os.environ.get("OPENAI_API_KEY", "%s")',
        "dict(api_key='%s')",
        "Authorization: ApiKey %s",
        "Authorization: Token %s",
        "{'Authorization': 'Bearer %s'}",
        "Proxy-Authorization: Basic %s==",
        "set-cookie: sid=%s; Path=/",
        "HF_TOKEN=${HF_TOKEN:-%s}",
    ),
    Secret("hub_token … push_to_hub", NESTED, PASSWORD, {"hub_token": PASSWORD, "push_to_hub": True}),
    Secret("training_args hub_token …", NESTED, PASSWORD, {"training_args": {"hub_token": PASSWORD}}),
    Secret("wandb key … project p", NESTED, PASSWORD, {"wandb": {"key": PASSWORD, "project": "p"}}),
    Secret("wandb login key …", NESTED, PASSWORD, {"wandb": {"login": {"key": PASSWORD}}}),
    Secret("hf token …", NESTED, PASSWORD, {"hf": {"token": PASSWORD}}),
    Secret("huggingface access token", NESTED, PASSWORD, {"huggingface": {"access": {"token": PASSWORD}}}),
    Secret(
        "env_vars WANDB_API_KEY …", NESTED, PASSWORD, {"env_vars": {"WANDB_API_KEY": PASSWORD, "NCCL_DEBUG": "INFO"}}
    ),
    Secret("env", NESTED, PASSWORD, {"env": ["HF_TOKEN=" + PASSWORD, "LR=1"]}),
    Secret("command bash -c", NESTED, PASSWORD, {"command": ["bash", "-c", "HF_TOKEN=" + PASSWORD + " python a.py"]}),
    Secret("cmd python --wandb-key …", NESTED, PASSWORD, {"cmd": ["python", "a.py", "--wandb-key", PASSWORD]}),
    Secret("cmd python", NESTED, PASSWORD, {"cmd": ["python", "a.py", "--wandb-key=" + PASSWORD]}),
    Secret(
        "containers env name DB_PASSWORD value Zx",
        NESTED,
        PASSWORD,
        {"containers": [{"env": [{"name": "DB_PASSWORD", "value": PASSWORD}]}]},
    ),
    Secret("imagePullSecrets auth …", NESTED, PASSWORD, {"imagePullSecrets": [{"auth": PASSWORD}]}),
    Secret(
        "smtp host h username u pass",
        NESTED,
        PASSWORD,
        {"smtp": {"host": "h", "username": "u", "pass": PASSWORD}},
    ),
    Secret(
        "s3 aws_access_key_id a aws_secret_access",
        NESTED,
        PASSWORD,
        {"s3": {"aws_access_key_id": "a", "aws_secret_access_key": PASSWORD}},
    ),
    Secret(
        "s3 access_key a secret_key",
        NESTED,
        PASSWORD,
        {"s3": {"access_key": "a", "secret_key": PASSWORD}},
    ),
    Secret("minio accessKey … endpoin", NESTED, PASSWORD, {"minio": {"accessKey": PASSWORD, "endpoint": "h"}}),
    Secret(
        "storage_options key a secret",
        NESTED,
        PASSWORD,
        {"storage_options": {"key": "a", "secret": PASSWORD}},
    ),
    Secret("storage_options account_key", NESTED, PASSWORD, {"storage_options": {"account_key": PASSWORD}}),
    Secret("storage_options sas_token", NESTED, PASSWORD, {"storage_options": {"sas_token": "sv=1&sig=" + PASSWORD}}),
    Secret("openai api_key … base_url", NESTED, PASSWORD, {"openai": {"api_key": PASSWORD, "base_url": "https://h"}}),
    Secret("judge apiKey …", NESTED, PASSWORD, {"judge": {"apiKey": PASSWORD}}),
    Secret("reward_model openaiApiKey", NESTED, PASSWORD, {"reward_model": {"openaiApiKey": PASSWORD}}),
    Secret("vllm api-key …", NESTED, PASSWORD, {"vllm": {"api-key": PASSWORD}}),
    Secret("notify slack token …", NESTED, PASSWORD, {"notify": {"slack": {"token": PASSWORD}}}),
    Secret("telegram bot_token … chat", NESTED, PASSWORD, {"telegram": {"bot_token": PASSWORD, "chat_id": 5}}),
    Secret("ssh host h password …", NESTED, PASSWORD, {"ssh": {"host": "h", "password": PASSWORD}}),
    Secret("ssh host h passphrase …", NESTED, PASSWORD, {"ssh": {"host": "h", "passphrase": PASSWORD}}),
    Secret("proxy", NESTED, PASSWORD, {"proxy": "http://me:" + PASSWORD + "@proxy:3128"}),
    Secret("HTTP_PROXY", NESTED, PASSWORD, {"HTTP_PROXY": "http://me:" + PASSWORD + "@proxy:3128"}),
    Secret("jupyter token …", NESTED, PASSWORD, {"jupyter": {"token": PASSWORD}}),
    Secret("jupyter_url", NESTED, PASSWORD, {"jupyter_url": "http://h:8888/?token=" + PASSWORD}),
    Secret("label_studio api_key …", NESTED, PASSWORD, {"label_studio": {"api_key": PASSWORD}}),
    Secret("cookies session …", NESTED, PASSWORD, {"cookies": {"session": PASSWORD}}),
    Secret("headers X-API-KEY …", NESTED, PASSWORD, {"headers": {"X-API-KEY": PASSWORD}}),
    Secret("headers Authorization", NESTED, PASSWORD, {"headers": {"Authorization": "Bearer " + PASSWORD}}),
    Secret("headers Authorization", NESTED, PASSWORD, {"headers": [("Authorization", "Bearer " + PASSWORD)]}),
    Secret(
        "sweep parameters hf_token value",
        NESTED,
        PASSWORD,
        {"sweep": {"parameters": {"hf_token": {"value": PASSWORD}}}},
    ),
    Secret(
        "sweep parameters hf_token values",
        NESTED,
        PASSWORD,
        {"sweep": {"parameters": {"hf_token": {"values": [PASSWORD]}}}},
    ),
    Secret(
        "_wandb hf_token desc value",
        NESTED,
        PASSWORD,
        {"_wandb": {"hf_token": {"desc": None, "value": PASSWORD}}},
    ),
    Secret(
        "deepspeed aio hf_access_token",
        NESTED,
        PASSWORD,
        {"deepspeed": {"aio": 1}, "hf_access_token": PASSWORD},
    ),
    Secret("encryption key …", NESTED, PASSWORD, {"encryption": {"key": PASSWORD}}),
    Secret(
        "clearml credentials access_key a secret_",
        NESTED,
        PASSWORD,
        {"clearml": {"credentials": {"access_key": "a", "secret_key": PASSWORD}}},
    ),
    Secret("mongo_uri", NESTED, PASSWORD, {"mongo_uri": "mongodb://u:" + PASSWORD + "@h:27017"}),
    Secret("git pat …", NESTED, PASSWORD, {"git": {"pat": PASSWORD}}),
    Secret("hf_token", NESTED, PASSWORD, {"hf_token": "${oc.env:HF_TOKEN," + PASSWORD + "}"}),
    Secret("database url", NESTED, PASSWORD, {"database": {"url": "u:" + PASSWORD + "@h:15432"}}),
    Secret("token hf …", NESTED, PASSWORD, {"token": {"hf": PASSWORD}}),
    Secret("tokens hf_token …", NESTED, PASSWORD, {"tokens": {"hf_token": PASSWORD}}),
    Secret("credentials …", NESTED, PASSWORD, {"credentials": [PASSWORD]}),
    Secret("secrets a b …", NESTED, PASSWORD, {"secrets": {"a": {"b": PASSWORD}}}),
    Secret(
        "parameters api_key value",
        NESTED,
        PASSWORD,
        {"parameters": {"api_key": {"value": PASSWORD, "distribution": "constant"}}},
    ),
    Secret("login username u pw …", NESTED, PASSWORD, {"login": {"username": "u", "pw": PASSWORD}}),
    Secret("login u pass …", NESTED, PASSWORD, {"login": "u", "pass": PASSWORD}),
    Secret("ssl key_password …", NESTED, PASSWORD, {"ssl": {"key_password": PASSWORD}}),
    Secret("cmd sshpass -p… ssh h", NESTED, PASSWORD, {"cmd": ["sshpass", "-p" + PASSWORD, "ssh", "h"]}),
    Secret("argv --hub-token …", NESTED, PASSWORD, {"argv": ["--hub-token", PASSWORD]}),
    Secret("argv", NESTED, PASSWORD, {"argv": ["--hub_token=" + PASSWORD]}),
    Secret("argv -e", NESTED, PASSWORD, {"argv": ["-e", "WANDB_API_KEY=" + PASSWORD]}),
    Secret("args --api-key …", NESTED, PASSWORD, {"args": {"--api-key": PASSWORD}}),
    Secret("flags", NESTED, PASSWORD, {"flags": "--api-key=" + PASSWORD}),
    Secret("env", NESTED, PASSWORD, {"env": "WANDB_API_KEY=" + PASSWORD}),
    Secret("tags", NESTED, PASSWORD, {"tags": ["token=" + PASSWORD]}),
    Secret(
        "env PIP_EXTRA_INDEX_URL",
        NESTED,
        PASSWORD,
        {"env": {"PIP_EXTRA_INDEX_URL": "https://u:" + PASSWORD + "@h/simple"}},
    ),
]
