//! Sets a container up with libcontainer, in a process of its own that a shim forks and that ends when its work is
//! done. So the shim stays small, whatever libcontainer allocates, opens or mounts.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use model::container::Run;

use super::init::{Init, Process, leak};
use super::oci::{self, SANDBOX_IN_IMAGE};
use super::users::{Accounts, Identity, set_variable};
use super::{Machine, root};
use crate::protocol::Launch;
use crate::spec::{ImageConfig, Root, Spec};

/// libcontainer's name for the one container that a shim has.
const NAME: &str = "container";

type Result<T> = std::result::Result<T, String>;

/// The container's ends of what connects it with its shim.
pub(crate) struct Ends {
    pub(crate) init: OwnedFd,
    pub(crate) stdin: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

/// Returns the process id of the container's init, which has been told to start the program.
pub(crate) fn build(launch: &Launch, machine: &Machine, ends: Ends) -> Result<u32> {
    let root = root::prepare(launch)?;
    let process = process(&launch.spec, &root)?;
    let identity = process.identity.clone().expect("a main process has one");
    let bundle = launch.run_dir.join("bundle");
    let state = launch.run_dir.join("state");
    write_bundle(launch, machine, &root, &identity, &bundle)?;
    let failed = |e: libcontainer::error::LibcontainerError| chain(&e);
    let init = Init {
        main: Rc::new(Process { identity: None, ..process }),
        shim: leak(ends.init),
        filter: oci::is_confined(&launch.spec).then(|| machine.filter.clone()),
    };
    let mut container = ContainerBuilder::new(NAME.to_string(), SyscallType::default())
        .with_root_path(&state)
        .map_err(failed)?
        .with_executor(init)
        .with_stdin(ends.stdin)
        .with_stdout(ends.stdout)
        .with_stderr(ends.stderr)
        .as_init(&bundle)
        .with_systemd(false)
        .with_detach(true)
        .build()
        .map_err(failed)?;
    let pid = container.pid().ok_or("libcontainer knows no process")?.as_raw();
    let pid = u32::try_from(pid).expect("process ids are positive");
    if matches!(launch.spec.root, Root::Host) {
        root::uncover_devices(pid)?;
    }
    container.start().map_err(failed)?;
    Ok(pid)
}

/// What libcontainer needs only until the program runs.
pub(crate) fn forget(run_dir: &Path) {
    for name in ["bundle", "state"] {
        // What stays goes with the run directory.
        let _ = std::fs::remove_dir_all(run_dir.join(name));
    }
}

fn write_bundle(
    launch: &Launch,
    machine: &Machine,
    root: &Path,
    identity: &Identity,
    bundle: &Path,
) -> Result<()> {
    let mounts = root::mounts(launch, root, &machine.hierarchies)?;
    let described = oci::describe(launch, root, identity, mounts, machine);
    let write = |path: PathBuf, bytes: &[u8]| {
        std::fs::write(&path, bytes).map_err(|e| format!("writing {}: {e}", path.display()))
    };
    std::fs::create_dir_all(bundle).map_err(|e| format!("creating {}: {e}", bundle.display()))?;
    if let Some(hostname) = &launch.spec.hostname {
        write(launch.run_dir.join("hostname"), format!("{hostname}\n").as_bytes())?;
    }
    write(bundle.join("config.json"), described.to_string().as_bytes())
}

/// The main process as its description, its image and its root make it.
fn process(spec: &Spec, root: &Path) -> Result<Process> {
    let nothing = ImageConfig::default();
    let (image, sandbox) = match &spec.root {
        Root::Host => (&nothing, spec.sandbox.display().to_string()),
        Root::Image { config, .. } => (config, SANDBOX_IN_IMAGE.to_string()),
    };
    let user = spec.user.as_ref().or(image.user.as_ref()).filter(|user| !user.is_empty());
    let identity = Accounts::of(root)?.resolve(user.map_or("root", String::as_str))?;
    let mut environment = Vec::new();
    let given = image.environment.iter().chain(&spec.environment);
    for (name, value) in given {
        set_variable(&mut environment, name, value);
    }
    set_variable(&mut environment, "MESOS_SANDBOX", &sandbox);
    if !environment.iter().any(|(name, _)| name == "HOME") {
        set_variable(&mut environment, "HOME", &identity.home);
    }
    if !environment.iter().any(|(name, _)| name == "PATH") {
        set_variable(&mut environment, "PATH", super::init::PATH_DEFAULT);
    }
    let working_dir = image.working_dir.clone().filter(|dir| !dir.is_empty()).unwrap_or(sandbox);
    Ok(Process {
        argv: argv(&spec.run, image)?,
        environment,
        working_dir,
        terminal: spec.terminal,
        identity: Some(identity),
    })
}

fn argv(run: &Run, image: &ImageConfig) -> Result<Vec<String>> {
    let argv = match run {
        Run::Shell(text) => vec!["/bin/sh".into(), "-c".into(), text.clone()],
        Run::Exec(argv) => argv.clone(),
        Run::Image(arguments) => {
            let arguments = if arguments.is_empty() { &image.command } else { arguments };
            image.entrypoint.iter().chain(arguments).cloned().collect()
        }
    };
    if argv.is_empty() {
        return Err("nothing to run: no command is given and the image has none".into());
    }
    Ok(argv)
}

/// An error and what led to it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_replace_the_command_of_an_image_and_not_its_entrypoint() {
        let check = |run: Run, entrypoint: &[&str], command: &[&str], expected: Option<&[&str]>| {
            let owned = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
            let image = ImageConfig {
                entrypoint: owned(entrypoint),
                command: owned(command),
                ..ImageConfig::default()
            };
            assert_eq!(argv(&run, &image).ok(), expected.map(owned), "{run:?}");
        };
        check(Run::Image(vec![]), &["/entry"], &["a"], Some(&["/entry", "a"]));
        check(Run::Image(vec!["b".into()]), &["/entry"], &["a"], Some(&["/entry", "b"]));
        check(Run::Exec(vec!["ls".into()]), &["/entry"], &["a"], Some(&["ls"]));
        check(Run::Shell("ls".into()), &["/entry"], &["a"], Some(&["/bin/sh", "-c", "ls"]));
        check(Run::Image(vec![]), &[], &[], None);
    }
}
