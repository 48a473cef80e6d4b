//! Which program a container runs: what its description, its image and the accounts of its root make of it.

use std::path::Path;

use model::container::Run;

use super::users::{Accounts, Identity, set_variable};
use crate::skeleton::SANDBOX_IN_IMAGE;
use crate::spec::{ImageConfig, Root, Spec, WindowSize};

pub(crate) const PATH_DEFAULT: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A process to start.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) argv: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) working_dir: String,
    pub(crate) terminal: Option<WindowSize>,
    /// Another than init itself.
    pub(crate) identity: Option<Identity>,
}

impl Process {
    /// The main process, and who it runs as; `root` is what the container will see as `/`.
    pub(crate) fn main(spec: &Spec, root: &Path) -> Result<(Process, Identity), String> {
        let nothing = ImageConfig::default();
        let (image, sandbox) = match &spec.root {
            Root::Host => (&nothing, spec.sandbox.display().to_string()),
            Root::Image { config, .. } => (config, SANDBOX_IN_IMAGE.to_string()),
        };
        let user = spec.user.as_ref().or(image.user.as_ref()).filter(|user| !user.is_empty());
        let accounts = Accounts::of(root)?;
        let mut identity = accounts.resolve(user.map_or("root", String::as_str))?;
        accounts.join(&mut identity, &spec.confinement.groups)?;
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
            set_variable(&mut environment, "PATH", PATH_DEFAULT);
        }
        let asked = &spec.confinement;
        let of_image = image.working_dir.clone().filter(|dir| !dir.is_empty());
        let working_dir = asked.working_dir.clone().or(of_image);
        let process = Process {
            argv: argv(&spec.run, asked.entrypoint.as_deref(), image)?,
            environment,
            working_dir: working_dir.unwrap_or(sandbox),
            terminal: spec.terminal,
            identity: None,
        };
        Ok((process, identity))
    }
}

/// An entrypoint that was asked for stands before whatever is run, and the image's own command goes with its own.
fn argv(
    run: &Run,
    entrypoint: Option<&[String]>,
    image: &ImageConfig,
) -> Result<Vec<String>, String> {
    let shell = |text: &String| ["-c".to_owned(), text.clone()];
    let argv: Vec<String> = match (run, entrypoint) {
        (Run::Shell(text), None | Some([])) => {
            std::iter::once("/bin/sh".to_owned()).chain(shell(text)).collect()
        }
        (Run::Shell(text), Some(program)) => program.iter().cloned().chain(shell(text)).collect(),
        (Run::Exec(argv), None) => argv.clone(),
        (Run::Exec(argv) | Run::Image(argv), Some(program)) => {
            program.iter().chain(argv).cloned().collect()
        }
        (Run::Image(arguments), None) => {
            let arguments = if arguments.is_empty() { &image.command } else { arguments };
            image.entrypoint.iter().chain(arguments).cloned().collect()
        }
    };
    if argv.is_empty() {
        return Err("nothing to run: no command is given and the image has none".into());
    }
    Ok(argv)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entrypoint_replaces_the_images_and_its_command() {
        let words = |all: &[&str]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        let image = ImageConfig {
            entrypoint: words(&["entry"]),
            command: words(&["command"]),
            ..ImageConfig::default()
        };
        let check = |run: Run, entrypoint: Option<&[&str]>, expected: &[&str]| {
            let entrypoint = entrypoint.map(words);
            assert_eq!(argv(&run, entrypoint.as_deref(), &image), Ok(words(expected)), "{run:?}");
        };
        check(Run::Image(vec![]), None, &["entry", "command"]);
        check(Run::Image(words(&["a"])), None, &["entry", "a"]);
        check(Run::Image(vec![]), Some(&["/run"]), &["/run"]);
        check(Run::Image(words(&["a"])), Some(&["/run"]), &["/run", "a"]);
        check(Run::Image(words(&["a"])), Some(&[]), &["a"]);
        check(Run::Shell("x".into()), Some(&["/bin/bash"]), &["/bin/bash", "-c", "x"]);
        check(Run::Shell("x".into()), None, &["/bin/sh", "-c", "x"]);
        assert!(argv(&Run::Image(vec![]), Some(&[]), &image).is_err());
    }
}
