//! The RAML type `AppUpdate`: an app of which only some fields are given.

use super::app::App;

impl App {
    /// What `self` becomes by a partial update in today's spelling: a field that the update has replaces the whole field,
    /// and what it does not name stays. (Marathon drops `executorResources` and `resourceLimits` even if an update is
    /// about something else, so that scaling an app restarts it.)
    #[must_use]
    pub fn updated_by(self, update: App) -> App {
        App {
            id: self.id,
            accepted_resource_roles: update
                .accepted_resource_roles
                .or(self.accepted_resource_roles),
            args: update.args.or(self.args),
            backoff_factor: update.backoff_factor.or(self.backoff_factor),
            backoff_seconds: update.backoff_seconds.or(self.backoff_seconds),
            cmd: update.cmd.or(self.cmd),
            constraints: update.constraints.or(self.constraints),
            container: update.container.or(self.container),
            cpus: update.cpus.or(self.cpus),
            dependencies: update.dependencies.or(self.dependencies),
            disk: update.disk.or(self.disk),
            env: update.env.or(self.env),
            executor: update.executor.or(self.executor),
            executor_resources: update.executor_resources.or(self.executor_resources),
            health_checks: update.health_checks.or(self.health_checks),
            check: update.check.or(self.check),
            instances: update.instances.or(self.instances),
            labels: update.labels.or(self.labels),
            max_launch_delay_seconds: update
                .max_launch_delay_seconds
                .or(self.max_launch_delay_seconds),
            mem: update.mem.or(self.mem),
            gpus: update.gpus.or(self.gpus),
            networks: update.networks.or(self.networks),
            readiness_checks: update.readiness_checks.or(self.readiness_checks),
            residency: update.residency.or(self.residency),
            resource_limits: update.resource_limits.or(self.resource_limits),
            require_ports: update.require_ports.or(self.require_ports),
            secrets: update.secrets.or(self.secrets),
            task_kill_grace_period_seconds: update
                .task_kill_grace_period_seconds
                .or(self.task_kill_grace_period_seconds),
            upgrade_strategy: update.upgrade_strategy.or(self.upgrade_strategy),
            user: update.user.or(self.user),
            version: None,
            version_info: None,
            kill_selection: update.kill_selection.or(self.kill_selection),
            unreachable_strategy: update.unreachable_strategy.or(self.unreachable_strategy),
            tty: update.tty.or(self.tty),
            role: update.role.or(self.role),
            autoscale: update.autoscale.or(self.autoscale),
            deployment_timeout_seconds: update
                .deployment_timeout_seconds
                .or(self.deployment_timeout_seconds),
            port_definitions: update.port_definitions.or(self.port_definitions),
            fetch: update.fetch.or(self.fetch),
            // Rewritten before, so that the two spellings cannot contradict each other.
            ports: None,
            uris: None,
            ip_address: None,
        }
    }
}
