//! Commands: what is started, with which environment, after which downloads.

use mesos_v1::CommandInfo as Spelled;
use mesos_v1::command_info::Uri as SpelledUri;
use mesos_v1::environment::variable::Type;
use mesos_v1::{Environment, environment};
use model::container::{CommandInfo, Run, Uri};

use super::Fault;

/// What surrounds the command, which decides what its words mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Around {
    /// The agent's own files.
    Host,
    /// An image of its own, run as Mesos' own containers are.
    Image,
    /// An image, run as Docker does.
    Docker,
}

pub fn read(spelled: &Spelled, around: Around) -> Result<CommandInfo, Fault> {
    Ok(CommandInfo {
        run: run(spelled, around)?,
        environment: environment(spelled.environment.as_ref())?,
        uris: spelled.uris.iter().map(uri).collect(),
        user: spelled.user.clone(),
    })
}

pub fn run(spelled: &Spelled, around: Around) -> Result<Run, Fault> {
    let arguments = || spelled.arguments.iter().cloned();
    if spelled.shell() {
        let value = spelled.value.clone();
        let absent = || Fault::new("'command.value' must be set if 'command.shell' is true");
        return value.map(Run::Shell).ok_or_else(absent);
    }
    match (&spelled.value, around) {
        (None, Around::Host) => {
            Err(Fault::new("'command.value' must be set where there is no image"))
        }
        (None, Around::Image | Around::Docker) => Ok(Run::Image(arguments().collect())),
        // To Docker all of it is what follows the image's name.
        (Some(value), Around::Docker) => {
            Ok(Run::Image([value.clone()].into_iter().chain(arguments()).collect()))
        }
        // The first argument is what the program is told it is called.
        (Some(value), Around::Host | Around::Image) => {
            Ok(Run::Exec([value.clone()].into_iter().chain(arguments().skip(1)).collect()))
        }
    }
}

fn environment(spelled: Option<&Environment>) -> Result<Vec<(String, String)>, Fault> {
    spelled.into_iter().flat_map(|all| &all.variables).map(variable).collect()
}

fn variable(one: &environment::Variable) -> Result<(String, String), Fault> {
    let bad = |why: &str| Fault::new(format!("Environment variable '{}' {why}", one.name));
    match one.r#type() {
        Type::Unknown => Err(Fault::new("Environment variable of type 'UNKNOWN' is not allowed")),
        Type::Secret => {
            Err(bad("is a secret: 'command.environment.variables.secret' is not supported yet"))
        }
        Type::Value if one.secret.is_some() => {
            Err(bad("of type 'VALUE' must not have a secret set"))
        }
        Type::Value => {
            let value = one.value.clone();
            let absent = || bad("of type 'VALUE' must have a value set");
            Ok((one.name.clone(), value.ok_or_else(absent)?))
        }
    }
}

fn uri(one: &SpelledUri) -> Uri {
    Uri {
        value: one.value.clone(),
        extract: one.extract(),
        executable: one.executable(),
        cache: one.cache(),
        output_file: one.output_file.clone(),
    }
}
