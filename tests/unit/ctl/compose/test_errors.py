"""What is wrong with a file: one sentence, with its line, its place and what was meant."""

import pytest

from tests.compose import refused, refused_service


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("imagee: x", "3: services.web: unknown key 'imagee'; did you mean 'image'?"),
        ("deploy: {replica: 1}", "services.web.deploy: unknown key 'replica'; did you mean 'repl"),
        ("logging: {zzz: 1}", "services.web.logging: unknown key 'zzz'; known here: driver, opt"),
        ("ports: 80", "services.web.ports: must be a list, not 80"),
        ("ports: ['80:x']", "services.web.ports[0]: '80:x' is not [[IP:]HOST:]CONTAINER[/PROTOC"),
        ("ports: ['1-2:1-3']", "services.web.ports[0]: the ranges of '1-2:1-3' are not of one le"),
        ("ports: ['80:80/icmp']", "'icmp' is not tcp, udp or sctp"),
        ("ports: ['70000']", "'70000' is not"),
        ("ports: [true]", "services.web.ports[0]: 'True' is not"),
        ("ports: [{published: 80}]", "services.web.ports[0]: target is missing"),
        ("user: 1000", "services.web.user: must be text, not 1000: put it in quotes"),
        ("environment: {A: true}", "environment.A: must be text or a number, not true: put it in"),
        ("environment: {A: [1]}", "environment.A: must be text or a number, not a list"),
        ("tty: 'yes'", "services.web.tty: must be true or false, not the text 'yes'"),
        ('command: "a \'b"', "services.web.command: a quote is not closed in"),
        ("deploy: {mode: swarm}", "must be one of replicated, global, replicated-job, global-job"),
        ("deploy: {replicas: -1}", "services.web.deploy.replicas: must be between 0 and"),
        ("deploy: {replicas: '1'}", "deploy.replicas: must be a whole number, not the text '1'"),
        ("deploy: {mode: global, replicas: 1}", "replicas do not go with mode global"),
        ("deploy: {update_config: {delay: 10}}", "must be a duration such as 10s or 1m30s, not 10"),
        ("deploy: {resources: {limits: {memory: x}}}", "must be a size such as 512M or 1.5G"),
        ("deploy: {resources: {limits: {cpus: x}}}", "'x' is not a number of cores such as 0.5"),
        ("healthcheck: {test: a, disable: true}", "test and disable do not go together"),
        ("restart: sometimes", "'sometimes' is not one of no, always, unless-stopped, on-failure"),
        ("extra_hosts: [nohost]", "services.web.extra_hosts: 'nohost' is not HOST:IP"),
        ("secrets: [none]", "secrets[0]: there is no secret none under the top-level secrets"),
        ("credential_spec: {file: a, registry: b}", "only one of file, registry may be given"),
        ("networks: [none-such]", "there is no network none-such under the top-level networks"),
        ("extends: {service: a}", "extends is not supported: use an anchor (&name) and a merge"),
        ("mem_limit: 1g", "mem_limit is not supported: set resource limits in deploy.resources"),
        ("env_file: none.env", "env_file[0]: cannot read /srv/none.env: No such file or directory"),
        ('hostname: "a\\0b"', "services.web.hostname: holds a zero byte"),
        ("stop_grace_period: 9999999999h", "stop_grace_period"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, sentence: str):
    assert sentence in refused_service(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[]", "0.yml:1: must be a mapping, not a list"),
        ("services: {}", "0.yml: there is no service in it"),
        ("services: {'a b': {image: host}}", "services: 'a b' is no name here"),
        ("services: {a.b: {image: host}}", "the name st_a.b is none"),
        (f"services: {{{'a' * 70}: {{image: host}}}}", "has over 63 characters"),
        ("services: {a: {}}", "services.a: image is missing"),
        ("service: {}", "unknown key 'service'; did you mean 'services'?"),
        (
            "version: '2.4'\nservices: {a: {foo: 1}}",
            "0.yml:1: version: the format '2.4' is not sup",
        ),
        ("version: 3", "version: must be one of 3, 3.0"),
        ("name: x", "name is not supported: the stack's name is given on the command line"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(text: str, sentence: str):
    assert sentence in refused(text)
