//! Status updates through schedulers' streams: frameworks of the v1 API over HTTP launch tasks, acknowledge every update
//! in a call of its own, kill what runs, and acknowledge that.

mod scheduler;

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use mesos_v1::codec::Encoding;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Place;
use crate::crew::Crew;
use crate::master::{Master, until};
use crate::report::{Goal, Report};
use crate::usage::Cpu;
use scheduler::{Act, Plan, Scheduler, Tally};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Spelling {
    Json,
    Protobuf,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Flags {
    #[arg(long, default_value_t = 10)]
    frameworks: u32,
    /// Of each framework.
    #[arg(long, default_value_t = 5_000)]
    tasks: u32,
    #[arg(long, default_value_t = 100)]
    agents: u32,
    #[arg(long, value_enum, default_value = "protobuf")]
    spelling: Spelling,
    /// The best of so many is told, because neighbours on the machine only make it slower.
    #[arg(long, default_value_t = 1)]
    runs: u32,
    #[command(flatten)]
    crew: Crew,
}

/// What became of one run: TASK_RUNNING of all tasks, then TASK_KILLED of all.
#[derive(Debug, Clone, Copy)]
struct Took {
    launched: Span,
    killed: Span,
}

/// How long it took, and what it cost.
#[derive(Debug, Clone, Copy)]
struct Span {
    updates: f64,
    wall: f64,
    master: f64,
    agents: f64,
}

pub(crate) async fn run(flags: Flags, place: &Place) -> Result<Report> {
    let Flags { frameworks, tasks, agents, spelling, .. } = &flags;
    let mut report = Report::new(format!(
        "updates: {frameworks} frameworks, {tasks} tasks each, {agents} agents, {spelling:?}"
    ))?;
    let mut best = once(&flags, place).await?;
    for _ in 1..flags.runs {
        let took = once(&flags, place).await?;
        best.launched = faster(best.launched, took.launched);
        best.killed = faster(best.killed, took.killed);
    }
    for (what, act) in [("launching", best.launched), ("killing", best.killed)] {
        let rate = act.updates / act.wall;
        let name = format!("{what}: updates a second, acknowledged");
        report.promise(name, rate, "/s", Goal::AtLeast(20_000.0));
        report.add(format!("{what}: updates"), act.updates, "");
        report.add(format!("{what}: until all are acknowledged"), act.wall, "s");
        report.add(format!("{what}: processor time of master and schedulers"), act.master, "s");
        report.add(format!("{what}: processor time of the agents"), act.agents, "s");
    }
    Ok(report)
}

fn faster(one: Span, other: Span) -> Span {
    if other.updates / other.wall > one.updates / one.wall { other } else { one }
}

async fn once(flags: &Flags, place: &Place) -> Result<Took> {
    let dir = place.dir()?;
    let master = Master::start(dir.path(), place.ip).await?;
    let crew = flags.crew.start(master.stream, flags.agents)?;
    master.until_agents(flags.agents as usize).await?;
    let encoding = match flags.spelling {
        Spelling::Json => Encoding::Json,
        Spelling::Protobuf => Encoding::Protobuf,
    };
    let (act, acts) = watch::channel(Act::Wait);
    let tally = Arc::new(Tally::default());
    let mut schedulers = JoinSet::new();
    for number in 0..flags.frameworks {
        let plan = Plan { number, tasks: flags.tasks, encoding };
        let scheduler = Scheduler::subscribe(master.mesos, plan, tally.clone()).await?;
        schedulers.spawn(scheduler.run(acts.clone()));
    }
    let tasks = u64::from(flags.frameworks) * u64::from(flags.tasks);
    let mut acted = Vec::new();
    for (wanted, updates) in [(Act::Launch, tasks), (Act::Kill, tasks)] {
        let before = (Cpu::own()?, crew.cpu()?, tally.acknowledged());
        let begun = Instant::now();
        act.send(wanted).context("all schedulers have ended")?;
        let mut failed = None;
        until("all updates", || {
            failed = schedulers.try_join_next();
            failed.is_some() || tally.acknowledged() - before.2 >= updates
        })
        .await?;
        if let Some(ended) = failed {
            ended?.context("a scheduler has ended")?;
        }
        acted.push(Span {
            updates: updates as f64,
            wall: begun.elapsed().as_secs_f64(),
            master: Cpu::own()?.since(before.0),
            agents: crew.cpu()?.since(before.1),
        });
    }
    until("the end of all tasks", || master.handle.read().kernel.tasks.is_empty()).await?;
    schedulers.shutdown().await;
    crew.stop().await?;
    master.stop().await;
    Ok(Took { launched: acted[0], killed: acted[1] })
}
