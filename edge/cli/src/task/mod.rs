//! `dcos task`: look into tasks, whichever framework runs them.

mod exec;
mod files;
pub(crate) mod find;
mod keys;
mod list;
pub(crate) mod log;
mod sandbox;
mod stream;
mod terminal;

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;

use crate::World;
use crate::failure::Failure;
use crate::marathon::tasks::{Kill, kill, tell};
use crate::task::find::{Filter, Which, one_of, tasks};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the tasks of the cluster.
    #[command(after_help = "Examples:
  dcos task list
  dcos task list --all web")]
    List {
        /// Only tasks whose id contains this.
        filter: Option<String>,
        /// Those that have ended, too.
        #[arg(long, conflicts_with = "completed")]
        all: bool,
        /// Only those that have ended.
        #[arg(long)]
        completed: bool,
        /// Only those of this agent.
        #[arg(long)]
        agent_id: Option<String>,
        #[arg(long)]
        json: bool,
        /// Print ids only.
        #[arg(long, short, conflicts_with = "json")]
        quiet: bool,
    },
    /// Print the end of a task's output.
    #[command(after_help = "Examples:
  dcos task log web                    # of every task whose id contains `web`
  dcos task log --follow web.instance-5ed4c0c5
  dcos task log --lines 50 web stderr
  dcos task log --completed web")]
    Log {
        /// Id, beginning of it or part of it.
        task: String,
        /// A file of the sandbox.
        #[arg(default_value = "stdout")]
        file: String,
        /// Go on as the file grows.
        #[arg(long, short)]
        follow: bool,
        /// So many lines from the end.
        #[arg(long, default_value_t = 10, allow_hyphen_values = true)]
        lines: i64,
        /// Those that have ended, too.
        #[arg(long, conflicts_with = "completed")]
        all: bool,
        /// Only those that have ended.
        #[arg(long)]
        completed: bool,
    },
    /// Run a command inside a task's container; its exit status becomes ours.
    #[command(after_help = "Examples:
  dcos task exec web.instance-5ed4c0c5 env
  dcos task exec -it web.instance-5ed4c0c5 sh
  echo hello | dcos task exec -i web.instance-5ed4c0c5 cat

With -it, Ctrl-P Ctrl-Q ends the command and goes away.")]
    Exec {
        /// Pass standard input on.
        #[arg(long, short)]
        interactive: bool,
        /// Give the command a terminal.
        #[arg(long, short)]
        tty: bool,
        /// Run it as this user.
        #[arg(long, short)]
        user: Option<String>,
        /// Id or unique beginning of it.
        task: String,
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Take over the terminal of a task that has one, or look on what the task writes. Ctrl-P Ctrl-Q goes away again.
    #[command(after_help = "Examples:
  dcos task attach shell.instance-5ed4c0c5
  dcos task attach --no-stdin shell.instance-5ed4c0c5    # look on only")]
    Attach {
        /// Only show what is written.
        #[arg(long)]
        no_stdin: bool,
        /// Id or unique beginning of it.
        task: String,
    },
    /// List the files in a task's sandbox.
    Ls {
        /// Id, beginning of it or part of it.
        task: String,
        /// A directory of the sandbox.
        #[arg(default_value = ".")]
        path: String,
        /// With mode, owner, size and date.
        #[arg(long, short)]
        long: bool,
        #[arg(long, conflicts_with = "long")]
        json: bool,
        /// Those that have ended, too.
        #[arg(long, conflicts_with = "completed")]
        all: bool,
        /// Only those that have ended.
        #[arg(long)]
        completed: bool,
    },
    /// Download files from a task's sandbox.
    #[command(after_help = "Examples:
  dcos task download web.instance-5ed4c0c5 stdout
  dcos task download --target-dir /tmp/web web.instance-5ed4c0c5      # the whole sandbox")]
    Download {
        /// Id or unique beginning of it.
        task: String,
        /// A file or directory of the sandbox; all of it if left out.
        path: Option<String>,
        #[arg(long, default_value = ".")]
        target_dir: PathBuf,
    },
    /// Kill tasks of apps; they are replaced unless --scale is given.
    Kill {
        /// Ids or unique beginnings of them.
        #[arg(required = true)]
        tasks: Vec<String>,
        /// Run fewer instances from now on.
        #[arg(long)]
        scale: bool,
        #[arg(long)]
        json: bool,
    },
}

/// The exit status is that of the command where one is run.
pub(crate) async fn run(command: Command, world: &mut World<'_>) -> Result<u8> {
    let client = world.client()?;
    let screen = &mut world.screen;
    match command {
        Command::List { filter, all, completed, agent_id, json, quiet } => {
            let filter = Filter { which: Which::of(all, completed), agent: agent_id, part: filter };
            let show = list::Show::of(json, quiet);
            list::run(screen, &client, &filter, show).await?;
        }
        Command::Log { task, file, follow, lines, all, completed } => {
            let filter = Filter::part(Which::of(all, completed), &task);
            let lines = usize::try_from(lines.unsigned_abs()).unwrap_or(usize::MAX);
            log::run(screen, &client, &filter, log::View { file, lines, follow }).await?;
        }
        Command::Exec { interactive, tty, user, task, command } => {
            let found = tasks(&client, &Filter::part(Which::Active, &task)).await?;
            let task = one_of(&found, &task, |task| &task.id)?;
            return exec::run(screen, &client, task, exec::Run { command, interactive, tty, user })
                .await;
        }
        Command::Attach { no_stdin, task } => {
            let found = tasks(&client, &Filter::part(Which::Active, &task)).await?;
            let task = one_of(&found, &task, |task| &task.id)?;
            return exec::attach(screen, &client, task, !no_stdin).await;
        }
        Command::Ls { task, path, long, json, all, completed } => {
            let filter = Filter::part(Which::of(all, completed), &task);
            files::list(screen, &client, &filter, &path, files::Show::of(long, json)).await?;
        }
        Command::Download { task, path, target_dir } => {
            let found = tasks(&client, &Filter::part(Which::All, &task)).await?;
            let task = one_of(&found, &task, |task| &task.id)?;
            files::download(screen, &client, task, path.as_deref(), &target_dir).await?;
        }
        Command::Kill { tasks: wanted, scale, json } => {
            let mut ids = Vec::new();
            for wanted in &wanted {
                let found = tasks(&client, &Filter::part(Which::Active, wanted)).await?;
                let task = one_of(&found, wanted, |task| &task.id)?;
                is_ours(task)?;
                ids.push(task.id.clone());
            }
            let answer = kill(&client, &ids, Kill { scale, wipe: false }).await?;
            tell(screen, &answer, json)?;
        }
    }
    Ok(0)
}

/// Other frameworks end their tasks themselves: only they know what a kill means to them.
fn is_ours(task: &find::Task) -> Result<()> {
    if task.framework_name == "marathon" {
        return Ok(());
    }
    let (id, framework) = (&task.id, &task.framework_name);
    let message = format!("{id} belongs to the framework {framework}; ask that to end it");
    Err(Failure::Other(message).into())
}
