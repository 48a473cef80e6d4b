//! Commands: what is started, with which environment, after which downloads.

use mesos_v1::CommandInfo as Spelled;
use mesos_v1::command_info::Uri as SpelledUri;
use mesos_v1::environment::variable::Type;
use mesos_v1::{Environment, environment};
use model::container::{CommandInfo, Run, Uri};
use model::secret::Secret;

use super::{Fault, secret};

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
    let (environment, secrets) = environment(spelled.environment.as_ref())?;
    Ok(CommandInfo {
        run: run(spelled, around)?,
        environment,
        secrets,
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

type Plain = Vec<(String, String)>;
type Secrets = Vec<(String, Secret)>;

/// The secrets apart from all others.
fn environment(spelled: Option<&Environment>) -> Result<(Plain, Secrets), Fault> {
    let (mut plain, mut secrets) = (Plain::new(), Secrets::new());
    for one in spelled.into_iter().flat_map(|all| &all.variables) {
        let bad = |why: &str| Fault::new(format!("Environment variable '{}' {why}", one.name));
        match one.r#type() {
            Type::Unknown => {
                return Err(Fault::new("Environment variable of type 'UNKNOWN' is not allowed"));
            }
            Type::Secret => secrets.push((one.name.clone(), secret(one)?)),
            Type::Value if one.secret.is_some() => {
                return Err(bad("of type 'VALUE' must not have a secret set"));
            }
            Type::Value => {
                let value = one.value.clone();
                let absent = || bad("of type 'VALUE' must have a value set");
                plain.push((one.name.clone(), value.ok_or_else(absent)?));
            }
        }
    }
    Ok((plain, secrets))
}

fn secret(one: &environment::Variable) -> Result<Secret, Fault> {
    let bad = |why: &str| Fault::new(format!("Environment variable '{}' {why}", one.name));
    if one.value.is_some() {
        return Err(bad("of type 'SECRET' must not have a value set"));
    }
    let spelled = one.secret.as_ref();
    let spelled = spelled.ok_or_else(|| bad("of type 'SECRET' must have a secret set"))?;
    let of = format!("command.environment.variables.secret of {}", one.name);
    let value = secret::read(&of, spelled)?;
    if value.bytes().contains(&0) {
        return Err(bad(
            "specifies a secret containing null bytes, which is not allowed in the environment",
        ));
    }
    match str::from_utf8(value.bytes()) {
        Ok(_) => Ok(value),
        Err(_) => Err(bad("specifies a secret that is not UTF-8: take a volume for it")),
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

/// As it was read, as far as that can be told.
pub(super) fn spell_run(run: &Run) -> mesos_v1::CommandInfo {
    let (shell, value, arguments) = match run {
        Run::Shell(text) => (true, Some(text), &[][..]),
        Run::Exec(argv) => (false, argv.first(), &argv[..]),
        Run::Image(argv) => (false, None, &argv[..]),
    };
    mesos_v1::CommandInfo {
        shell: Some(shell),
        value: value.cloned(),
        arguments: arguments.to_vec(),
        ..mesos_v1::CommandInfo::default()
    }
}
