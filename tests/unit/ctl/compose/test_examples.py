"""The examples of Docker's documentation of stacks and of the format, and of our own, as specs."""

import re
from collections.abc import Callable

import pytest

from swarmd import api
from tests.compose import stack
from tests.reference import ROOT

Condition = api.RestartPolicy.RestartCondition
Mount = api.Mount.Type
Facts = Callable[[dict[str, api.ServiceSpec]], object]

EXAMPLES: dict[str, tuple[str, Facts, object]] = {
    "stackdemo": (
        """
        services:
          web:
            image: 127.0.0.1:5000/stackdemo
            build: .
            ports:
              - "8000:8000"
          redis:
            image: redis:alpine
        """,
        lambda s: (
            s["st_web"].task.container.image,
            s["st_web"].endpoint.ports[0].published_port,
            s["st_redis"].task.container.image,
        ),
        ("127.0.0.1:5000/stackdemo", 8000, "redis:alpine"),
    ),
    "deploy": (
        """
        version: "3.9"
        services:
          redis:
            image: redis:alpine
            deploy:
              replicas: 6
              placement:
                max_replicas_per_node: 1
              update_config:
                parallelism: 2
                delay: 10s
              restart_policy:
                condition: on-failure
        """,
        lambda s: (
            s["st_redis"].replicated.replicas,
            s["st_redis"].task.placement.max_replicas,
            s["st_redis"].update.parallelism,
            s["st_redis"].update.delay.seconds,
            s["st_redis"].task.restart.condition,
        ),
        (6, 1, 2, 10, Condition.ON_FAILURE),
    ),
    "endpoint_mode": (
        """
        version: "3.9"
        services:
          wordpress:
            image: wordpress
            ports:
              - "8080:80"
            networks:
              - overlay
            deploy:
              mode: replicated
              replicas: 2
              endpoint_mode: vip
          mysql:
            image: mysql
            volumes:
               - db-data:/var/lib/mysql/data
            networks:
               - overlay
            deploy:
              mode: replicated
              replicas: 2
              endpoint_mode: dnsrr
        volumes:
          db-data:
        networks:
          overlay:
        """,
        lambda s: (
            [s[name].endpoint.mode for name in ("st_wordpress", "st_mysql")],
            s["st_mysql"].task.container.mounts[0].source,
        ),
        (
            [api.EndpointSpec.ResolutionMode.VIP, api.EndpointSpec.ResolutionMode.DNSRR],
            "st_db-data",
        ),
    ),
    "placement": (
        """
        version: "3.9"
        services:
          db:
            image: postgres
            deploy:
              placement:
                constraints:
                  - "node.role==manager"
                  - "engine.labels.operatingsystem==ubuntu 18.04"
                preferences:
                  - spread: node.labels.zone
        """,
        lambda s: (
            list(s["st_db"].task.placement.constraints),
            [p.spread.spread_descriptor for p in s["st_db"].task.placement.preferences],
        ),
        (
            ["node.role==manager", "engine.labels.operatingsystem==ubuntu 18.04"],
            ["node.labels.zone"],
        ),
    ),
    "resources": (
        """
        version: "3.9"
        services:
          redis:
            image: redis:alpine
            deploy:
              resources:
                limits:
                  cpus: '0.50'
                  memory: 50M
                reservations:
                  cpus: '0.25'
                  memory: 20M
        """,
        lambda s: [
            (one.nano_cpus, one.memory_bytes)
            for resources in [s["st_redis"].task.resources]
            for one in (resources.limits, resources.reservations)
        ],
        [(500_000_000, 50 << 20), (250_000_000, 20 << 20)],
    ),
    "restart_policy": (
        """
        version: "3.9"
        services:
          redis:
            image: redis:alpine
            deploy:
              restart_policy:
                condition: on-failure
                delay: 5s
                max_attempts: 3
                window: 120s
        """,
        lambda s: (
            s["st_redis"].task.restart.delay.seconds,
            s["st_redis"].task.restart.max_attempts,
            s["st_redis"].task.restart.window.seconds,
        ),
        (5, 3, 120),
    ),
    "update_config": (
        """
        version: "3.9"
        services:
          redis:
            image: redis
          vote:
            image: dockersamples/examplevotingapp_vote:before
            depends_on:
              - redis
            deploy:
              replicas: 2
              update_config:
                parallelism: 2
                delay: 10s
                order: stop-first
        """,
        lambda s: (s["st_vote"].update.parallelism, s["st_vote"].update.order),
        (2, api.UpdateConfig.UpdateOrder.STOP_FIRST),
    ),
    "secrets": (
        """
        version: "3.9"
        services:
          redis:
            image: redis:latest
            secrets:
              - source: my_secret
                target: redis_secret
                uid: '103'
                gid: '103'
                mode: 0440
              - my_other_secret
        secrets:
          my_secret:
            file: ./my_secret.txt
          my_other_secret:
            external: true
        """,
        lambda s: [
            (one.secret_name, one.file.name, one.file.uid, one.file.mode)
            for one in s["st_redis"].task.container.secrets
        ],
        [
            ("my_other_secret", "my_other_secret", "0", 0o444),
            ("st_my_secret", "redis_secret", "103", 0o440),
        ],
    ),
    "volumes": (
        """
        version: "3.9"
        services:
          web:
            image: nginx:alpine
            volumes:
              - type: volume
                source: mydata
                target: /data
                volume:
                  nocopy: true
              - type: bind
                source: ./static
                target: /opt/app/static
          db:
            image: postgres:latest
            volumes:
              - "/var/run/postgres/postgres.sock:/var/run/postgres/postgres.sock"
              - "dbdata:/var/lib/postgresql/data"
        volumes:
          mydata:
          dbdata:
        """,
        lambda s: [
            (one.type, one.source)
            for name in ("st_web", "st_db")
            for one in s[name].task.container.mounts
        ],
        [
            (Mount.VOLUME, "st_mydata"),
            (Mount.BIND, "/srv/static"),
            (Mount.BIND, "/var/run/postgres/postgres.sock"),
            (Mount.VOLUME, "st_dbdata"),
        ],
    ),
    "single values": (
        """
        services:
          foo:
            image: foo
            user: postgresql
            working_dir: /code
            domainname: foo.com
            hostname: foo
            ipc: host
            mac_address: 02:42:ac:11:65:43
            privileged: true
            read_only: true
            shm_size: 64M
            stdin_open: true
            tty: true
        """,
        lambda s: (s["st_foo"].task.container.user, s["st_foo"].task.container.read_only),
        ("postgresql", True),
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_of_dockers_becomes_what_its_text_says(name: str):
    text, facts, expected = EXAMPLES[name]
    found = stack(text, files={"my_secret.txt": b"s"}).services
    assert expected == facts(found)


def test_our_own_example_is_a_stack():
    (text,) = re.findall("```yaml\n(.*?)```", (ROOT / "docs/stacks.md").read_text(), re.DOTALL)
    found = stack(text, files={"key.txt": b"k", "web.env": b"A=1\n"})
    assert {"st_web", "st_cache", "st_migrate"} == set(found.services)
    assert "replicated_job" == found.services["st_migrate"].WhichOneof("mode")
    assert 1 == len(found.notices)
