"""Keys of `config.toml` that had another name before: whoever still has the old one is told the new one."""

from collections.abc import Mapping

from backends.consul.catalog import ConsulService
from backends.consul.settings import ConsulSettings
from backends.health.common import HealthKind
from backends.hooks.kinds import HookSettings
from backends.hosts.ssh_settings import SshSettings
from console.debug_log import LogSettings
from orchestrator.inventory.source import NodeSettings
from orchestrator.planning.policy import Policy
from orchestrator.settings import Access, ApplicationSettings, JournalSettings, LockSettings

RENAMED_KEYS: Mapping[type, Mapping[str, str]] = {
    Access: {"via": "transport", "port_via": "port_check_from"},
    ApplicationSettings: {"places": "load_balancers", "unmanaged_backends": "ignored_backends"},
    ConsulService: {
        "gate": "require_consul_checks",
        "when_changed": 'on_change, with "confirm" for "ask" and "notify" for "tell"',
    },
    ConsulSettings: {
        "versions": "version_key",
        "when_down": 'on_unavailable, with "continue" for "go_on"',
    },
    HealthKind: {"via": "check_from", "version_part": "version_regex"},
    HookSettings: {"on": "events"},
    JournalSettings: {"keep_days": "retention_days"},
    LockSettings: {"delay": "lock_delay"},
    LogSettings: {"keep": "backup_count"},
    NodeSettings: {"via": "transport"},
    Policy: {
        "bake": "bake_time",
        "balancer_timeout": "balancer_unreachable_timeout",
        "gate": 'require_haproxy_checks, with true for "checks" and false for "none"',
        "sessions_left": "on_remaining_sessions",
        "settle_timeout": "maint_grace_period",
    },
    SshSettings: {"connects_at_once": "max_concurrent_logins"},
}


def renamed_to(table: type, key: str) -> str:
    """The new name of a key, and perhaps of its values; empty for a key that never was.

    Args:
        table: the struct that the table in the file is decoded into.
        key: that was found in it, and is not known.
    """
    return next((RENAMED_KEYS[kind][key] for kind in table.__mro__ if key in RENAMED_KEYS.get(kind, {})), "")
