"""Make the parts of the agent that deployment.yaml has most to say about.

Runs in: the agent, once. Never: hands the parts to each other; main does.
"""

import socket
import time

from edged.agent.link import LinkSettings
from edged.agent.oracles.home import HomeDesk
from edged.agent.recording import Recorder
from edged.agent.releasing import Releaser
from edged.agent.sampling import sampling_salt
from edged.agent.shadow import Shadow
from edged.agent.validator import ValidatorSettings
from edged.agent.validators import Validators
from edged.datasets.layout import Layout
from edged.decisions.sampling import Sampler
from edged.deployment import Deployment
from edged.pool.pool import Pool
from edged.pool.settings import PoolSettings

SHADOW_WORKERS = 4  # candidates tried at the same time, one worker each


def make_recorder(deployment: Deployment, layout: Layout) -> Recorder:
    return Recorder(
        deployment.privacy,
        Sampler(salt=sampling_salt(layout)),
        deployment.sampling.rate,
        deployment.validation,
        time.monotonic,
    )


def make_shadow(deployment: Deployment, layout: Layout, validators: Validators | None) -> Shadow:
    settings = PoolSettings(
        workers_per_version=1,
        max_workers=SHADOW_WORKERS,
        require=deployment.isolation.require,
    )
    pool = Pool(settings)
    comparing = validators.comparing if validators is not None else {}
    return Shadow(layout, pool, comparing)


def make_validators(
    deployment: Deployment, layout: Layout, releaser: Releaser, desk: HomeDesk
) -> Validators | None:
    if not deployment.validation:
        return None
    salt = sampling_salt(layout)
    settings = ValidatorSettings()
    # Asked for at each use: home may tighten it.
    return Validators(deployment, layout, lambda: releaser.privacy, salt, settings, time.time, desk)


def link_settings(deployment: Deployment, identifier: str) -> LinkSettings:
    """identifier: of this edge's log."""
    cloud = deployment.cloud
    return LinkSettings(
        address=cloud.link_address,
        tls=cloud.tls if cloud.is_secure else None,
        api_key=cloud.api_key.get_secret_value() if cloud.api_key else "",
        name=deployment.runtime.name or socket.gethostname(),
        tasks=deployment.tasks,
        log_id=identifier,
    )
