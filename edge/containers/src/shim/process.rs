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
    /// `None`: as init itself.
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
            set_variable(&mut environment, "PATH", PATH_DEFAULT);
        }
        let of_image = image.working_dir.clone().filter(|dir| !dir.is_empty());
        let process = Process {
            argv: argv(&spec.run, image)?,
            environment,
            working_dir: of_image.unwrap_or(sandbox),
            terminal: spec.terminal,
            identity: None,
        };
        Ok((process, identity))
    }
}

fn argv(run: &Run, image: &ImageConfig) -> Result<Vec<String>, String> {
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
