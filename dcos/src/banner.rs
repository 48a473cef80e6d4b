//! What `dcos up` says when everything answers.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};

use anyhow::Result;

use crate::settings::Settings;

pub(crate) fn show(settings: &Settings) -> Result<()> {
    let mut out = io::stdout();
    out.write_all(text(settings).as_bytes())?;
    Ok(out.flush()?)
}

fn text(settings: &Settings) -> String {
    let ports = &settings.ports;
    let url = |port: u16| match (SocketAddr::new(settings.bind, port), settings.bind) {
        (_, IpAddr::V4(ip)) if port == 80 => format!("http://{ip}"),
        (_, IpAddr::V6(ip)) if port == 80 => format!("http://[{ip}]"),
        (address, _) => format!("http://{address}"),
    };
    let front_door = url(ports.front_door);
    let mut agents = String::new();
    for number in 0..settings.agents {
        writeln!(agents, "  agent             http://{}", settings.agent_address(number))
            .expect("a string takes everything");
    }
    format!(
        "
The cluster is up; its data is in {data}.
  front door        {front_door}
  Marathon API      {marathon}
  Mesos master API  {mesos}
{agents}
Try next, in another terminal:
  dcos cluster setup {front_door}
  dcos node list
  dcos marathon app list
Ctrl-C stops it; tasks {tasks}.

",
        data = settings.data_dir.display(),
        marathon = url(ports.marathon),
        mesos = url(ports.mesos_master),
        tasks = if settings.stop_tasks { "are stopped, too" } else { "run on" },
    )
}
