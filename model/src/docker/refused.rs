//! Words that mean nothing to our own runtime, and what to say instead.

/// For whoever wrote the word.
pub(super) fn remedy(word: &str) -> String {
    let instead = match word {
        "network" | "net" | "network-alias" | "net-alias" | "ip" | "ip6" | "mac-address"
        | "link" | "link-local-ip" => {
            "networks are host and none; others come with the app's networks"
        }
        "publish" | "p" | "publish-all" | "P" | "expose" => "say it with container.portMappings",
        "gpus" | "device-cgroup-rule" => "say it with the app's gpus, or with device",
        "runtime" => "all tasks run on the agent's own runtime; take it out",
        "restart" => "tasks that end are launched again by what has launched them",
        "name" | "cidfile" => "tasks are named by their id",
        "tty" | "t" | "interactive" | "i" | "attach" | "a" | "detach-keys" => {
            "say tty in the app, and attach with dcos task attach"
        }
        "env-file" | "label-file" => "such a file is not on the agent: say each with env or label",
        "volumes-from" => "make a pod whose containers mount the same volume",
        "volume-driver" => "say it with an external volume",
        "log-driver" => {
            "the log is in the task's sandbox, in the files stdout and stderr: dcos task log"
        }
        "health-cmd"
        | "health-interval"
        | "health-retries"
        | "health-start-interval"
        | "health-start-period"
        | "health-timeout" => "say it with the app's healthChecks",
        "pull" | "disable-content-trust" => "say it with forcePullImage",
        "platform" | "isolation" => "an agent runs images of its own platform only",
        "cpuset-cpus" | "cpuset-mems" | "cpu-rt-period" | "cpu-rt-runtime" | "cpu-count"
        | "cpu-percent" => "processors are shared: say it with cpus and resourceLimits",
        "oom-kill-disable" | "kernel-memory" | "memory-swappiness" => {
            "say it with mem, resourceLimits, memory-swap or memory-reservation"
        }
        "blkio-weight"
        | "blkio-weight-device"
        | "device-read-bps"
        | "device-read-iops"
        | "device-write-bps"
        | "device-write-iops"
        | "io-maxbandwidth"
        | "io-maxiops" => "disks are not shared out: keep the app apart with constraints",
        "storage-opt" => "say it with disk",
        "cgroup-parent" | "cgroupns" => "control groups are the agent's own",
        "uts" => "a name of its own comes with hostname",
        "annotation" => "say it with label",
        _ => "",
    };
    match instead {
        "" => format!("there is no such word; these are obeyed: {}", super::words::rest_of()),
        instead => format!("it is not obeyed here; {instead}"),
    }
}
