//! A scheduler that does nothing but what is measured. Its calls go down one connection, each a request of its own, and
//! it does not wait for the answer to one before it sends the next, as Mesos' own library for schedulers does.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail, ensure};
use mesos_v1::codec::Encoding;
use mesos_v1::recordio::Reader;
use mesos_v1::scheduler::call::{Accept, Acknowledge, Kill, Subscribe, Type as CallType};
use mesos_v1::scheduler::event::Type;
use mesos_v1::scheduler::{Call, Event};
use mesos_v1::{
    AgentId, CommandInfo, Filters, FrameworkId, FrameworkInfo, Offer, Resource, TaskId, TaskInfo,
    TaskState, TaskStatus, offer, value,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const PATH: &str = "/api/v1/scheduler";
/// So that the tasks of a framework are spread over the agents.
const TASKS_PER_OFFER: u32 = 50;
const BUFFER_BYTES: usize = 64 << 10;
const ACCEPTED: &[u8] = b"HTTP/1.1 202";
const ANSWER: &[u8] = b"HTTP/1.1 ";

/// What all schedulers do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Wait,
    Launch,
    Kill,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) number: u32,
    pub(crate) tasks: u32,
    pub(crate) encoding: Encoding,
}

/// Acknowledgements that the master has answered.
#[derive(Debug, Default)]
pub(crate) struct Tally(AtomicU64);

impl Tally {
    pub(crate) fn acknowledged(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

pub(crate) struct Scheduler {
    plan: Plan,
    id: FrameworkId,
    /// What comes before the length of a call.
    head: String,
    events: reqwest::Response,
    reader: Reader,
    calls: OwnedWriteHalf,
    answers: JoinHandle<Result<()>>,
    /// Of each call that is under way: whether it acknowledges something.
    asked: tokio::sync::mpsc::UnboundedSender<bool>,
    launched: u32,
    running: VecDeque<(TaskId, AgentId)>,
    offers: Vec<Offer>,
}

impl Scheduler {
    pub(crate) async fn subscribe(
        master: SocketAddr,
        plan: Plan,
        tally: Arc<Tally>,
    ) -> Result<Self> {
        let media_type = plan.encoding.media_type();
        let framework_info = FrameworkInfo {
            user: "root".to_owned(),
            name: format!("updates-{}", plan.number),
            ..FrameworkInfo::default()
        };
        let subscribe = Some(Subscribe { framework_info, ..Subscribe::default() });
        let call = Call { r#type: Some(CallType::Subscribe as i32), subscribe, ..Call::default() };
        let asked = reqwest::Client::new()
            .post(format!("http://{master}{PATH}"))
            .header("content-type", media_type)
            .header("accept", media_type)
            .body(plan.encoding.encode(&call));
        let events = asked.send().await.context("subscribing")?.error_for_status()?;
        let stream = events.headers().get("mesos-stream-id").context("no stream id")?.to_str()?;
        let head = format!(
            "POST {PATH} HTTP/1.1\r\nhost: {master}\r\ncontent-type: {media_type}\r\nmesos-stream-id: {stream}\r\ncontent-length: "
        );
        let connection = TcpStream::connect(master).await.context("connecting")?;
        connection.set_nodelay(true)?;
        let (read, calls) = connection.into_split();
        let (asked, asking) = tokio::sync::mpsc::unbounded_channel();
        let answers = tokio::spawn(count(read, asking, tally));
        let (reader, id) = (Reader::default(), FrameworkId::default());
        let (running, offers, launched) = (VecDeque::new(), Vec::new(), 0);
        Ok(Self {
            plan,
            id,
            head,
            events,
            reader,
            calls,
            answers,
            asked,
            launched,
            running,
            offers,
        })
    }

    pub(crate) async fn run(mut self, mut acts: watch::Receiver<Act>) -> Result<()> {
        let mut said = Vec::new();
        loop {
            tokio::select! {
                changed = acts.changed() => changed.context("the driver has ended")?,
                piece = self.events.chunk() => {
                    self.reader.push(&piece?.context("the stream has ended")?);
                }
                ended = &mut self.answers => return ended?,
            }
            let act = *acts.borrow_and_update();
            while let Some(record) = self.reader.take()? {
                self.hear(self.plan.encoding.decode(&record)?, &mut said)?;
            }
            if act == Act::Launch {
                self.launch(&mut said)?;
            }
            if act == Act::Kill {
                self.kill(&mut said)?;
            }
            self.calls.write_all(&said).await.context("calling")?;
            said.clear();
        }
    }

    fn hear(&mut self, event: Event, said: &mut Vec<u8>) -> Result<()> {
        match event.r#type() {
            Type::Subscribed => {
                self.id = event.subscribed.context("nothing subscribed")?.framework_id;
            }
            Type::Offers => self.offers.extend(event.offers.into_iter().flat_map(|one| one.offers)),
            Type::Rescind => {
                let id = event.rescind.map(|one| one.offer_id);
                self.offers.retain(|offer| Some(&offer.id) != id.as_ref());
            }
            Type::Update => {
                let status = event.update.context("nothing updated")?.status;
                self.acknowledge(status, said)?;
            }
            Type::Error => bail!("{:?}", event.error),
            Type::Unknown
            | Type::InverseOffers
            | Type::RescindInverseOffer
            | Type::UpdateOperationStatus
            | Type::Message
            | Type::Failure
            | Type::Heartbeat => (),
        }
        Ok(())
    }

    fn acknowledge(&mut self, status: TaskStatus, said: &mut Vec<u8>) -> Result<()> {
        let agent_id = status.agent_id.clone().context("no agent")?;
        if status.state() == TaskState::TaskRunning {
            self.running.push_back((status.task_id.clone(), agent_id.clone()));
        }
        let is_good = [TaskState::TaskStarting, TaskState::TaskRunning, TaskState::TaskKilled]
            .contains(&status.state());
        ensure!(is_good, "{:?}: {:?}", status.state(), status.message);
        let uuid = status.uuid.context("nothing to acknowledge")?;
        let seen = Acknowledge { agent_id, task_id: status.task_id, uuid };
        let call = Call { acknowledge: Some(seen), ..self.call(CallType::Acknowledge) };
        self.say(&call, said)
    }

    fn launch(&mut self, said: &mut Vec<u8>) -> Result<()> {
        while self.launched < self.plan.tasks
            && let Some(offer) = self.offers.pop()
        {
            let count = TASKS_PER_OFFER.min(self.plan.tasks - self.launched);
            let tasks = (0..count).map(|more| self.task(self.launched + more, &offer.agent_id));
            let launch = offer::operation::Launch { task_infos: tasks.collect() };
            self.launched += count;
            let operation = offer::Operation {
                r#type: Some(offer::operation::Type::Launch as i32),
                launch: Some(launch),
                ..offer::Operation::default()
            };
            let accept = Accept {
                offer_ids: vec![offer.id],
                operations: vec![operation],
                filters: Some(Filters { refuse_seconds: Some(0.0) }),
            };
            let call = Call { accept: Some(accept), ..self.call(CallType::Accept) };
            self.say(&call, said)?;
        }
        Ok(())
    }

    fn kill(&mut self, said: &mut Vec<u8>) -> Result<()> {
        while let Some((task_id, agent_id)) = self.running.pop_front() {
            let kill = Kill { task_id, agent_id: Some(agent_id), ..Kill::default() };
            self.say(&Call { kill: Some(kill), ..self.call(CallType::Kill) }, said)?;
        }
        Ok(())
    }

    fn call(&self, kind: CallType) -> Call {
        let framework_id = Some(self.id.clone());
        Call { framework_id, r#type: Some(kind as i32), ..Call::default() }
    }

    fn say(&self, call: &Call, said: &mut Vec<u8>) -> Result<()> {
        let body = self.plan.encoding.encode(call);
        said.extend_from_slice(self.head.as_bytes());
        said.extend_from_slice(format!("{}\r\n\r\n", body.len()).as_bytes());
        said.extend_from_slice(&body);
        let acknowledges = call.acknowledge.is_some();
        self.asked.send(acknowledges).ok().context("nobody reads the answers")
    }

    fn task(&self, number: u32, agent_id: &AgentId) -> TaskInfo {
        let id = format!("{}-{number}", self.plan.number);
        let scalar = |name: &str, value: f64| Resource {
            name: name.to_owned(),
            r#type: value::Type::Scalar as i32,
            scalar: Some(value::Scalar { value }),
            ..Resource::default()
        };
        TaskInfo {
            name: id.clone(),
            task_id: TaskId { value: id },
            agent_id: agent_id.clone(),
            resources: vec![scalar("cpus", 0.01), scalar("mem", 16.0)],
            command: Some(CommandInfo {
                value: Some("sleep 1000".to_owned()),
                ..CommandInfo::default()
            }),
            ..TaskInfo::default()
        }
    }
}

/// Every call is answered with 202, in the order in which they were sent.
async fn count(
    mut answers: OwnedReadHalf,
    mut asked: tokio::sync::mpsc::UnboundedReceiver<bool>,
    tally: Arc<Tally>,
) -> Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    // What may be the beginning of an answer stays for the next read.
    let mut kept = 0;
    let (answer, accepted) =
        (memchr::memmem::Finder::new(ANSWER), memchr::memmem::Finder::new(ACCEPTED));
    loop {
        let read = answers.read(&mut buffer[kept..]).await.context("reading the answers")?;
        ensure!(read > 0, "the master has hung up");
        let end = kept + read;
        // Only of those whose status is there as well.
        let known = end.saturating_sub(ACCEPTED.len() - ANSWER.len());
        let all = answer.find_iter(&buffer[..known]).count();
        let good = accepted.find_iter(&buffer[..end]).count();
        ensure!(all == good, "refused: {}", String::from_utf8_lossy(&buffer[..end]));
        for _ in 0..good {
            if asked.recv().await.context("an answer to nothing")? {
                tally.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let last = accepted.find_iter(&buffer[..end]).last().map_or(0, |at| at + ACCEPTED.len());
        let rest = (ACCEPTED.len() - 1).min(end - last);
        buffer.copy_within(end - rest..end, 0);
        kept = rest;
    }
}
