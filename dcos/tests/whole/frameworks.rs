//! A framework in protobuf, as one that is written for Mesos speaks it, on a real cluster.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mesos_v1::codec::{Encoding, PROTOBUF};
use mesos_v1::recordio::Reader;
use mesos_v1::scheduler::call::{self, Type};
use mesos_v1::scheduler::{Call, Event, OfferConstraints, event};
use mesos_v1::{
    AgentId, CommandInfo, Filters, FrameworkId, FrameworkInfo, Offer, Resource, TaskId, TaskInfo,
    TaskState, TaskStatus, framework_info, offer, value,
};

use crate::cluster::{Cluster, Tasks};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const POLL: Duration = Duration::from_millis(50);

/// A scheduler and what it has heard of its tasks.
pub(crate) struct Scheduler {
    url: String,
    http: reqwest::Client,
    pub(crate) id: Option<FrameworkId>,
    stream: String,
    response: Option<reqwest::Response>,
    reader: Reader,
    states: BTreeMap<String, TaskState>,
    /// Of which agents it wants offers.
    pub(crate) constraints: Option<OfferConstraints>,
}

impl Scheduler {
    pub(crate) fn new(cluster: &Cluster) -> Self {
        Self {
            url: format!("http://{}:5050/api/v1/scheduler", cluster.ip),
            http: reqwest::Client::new(),
            id: None,
            stream: String::new(),
            response: None,
            reader: Reader::default(),
            states: BTreeMap::new(),
            constraints: None,
        }
    }

    pub(crate) fn info(&self) -> FrameworkInfo {
        let aware = framework_info::capability::Type::PartitionAware;
        FrameworkInfo {
            id: self.id.clone(),
            user: "root".to_owned(),
            name: "protobuf".to_owned(),
            failover_timeout: Some(600.0),
            capabilities: vec![framework_info::Capability { r#type: Some(aware as i32) }],
            ..FrameworkInfo::default()
        }
    }

    pub(crate) async fn post(&self, call: &Call) -> reqwest::Result<reqwest::Response> {
        let mut request = self.http.post(&self.url);
        for name in ["content-type", "accept"] {
            request = request.header(name, PROTOBUF);
        }
        if call.r#type() != Type::Subscribe {
            request = request.header("mesos-stream-id", &self.stream);
        }
        request.body(Encoding::Protobuf.encode(call)).send().await
    }

    /// Until it is subscribed: a cluster that has just been started may take a while.
    pub(crate) async fn subscribe(&mut self) {
        let subscribe = call::Subscribe {
            framework_info: self.info(),
            offer_constraints: self.constraints.clone(),
            ..call::Subscribe::default()
        };
        let call = Call {
            r#type: Some(Type::Subscribe as i32),
            framework_id: self.id.clone(),
            subscribe: Some(subscribe),
            ..Call::default()
        };
        let deadline = Instant::now() + PATIENCE;
        let response = loop {
            match self.post(&call).await {
                Ok(response) if response.status() == 200 => break response,
                other => assert!(Instant::now() < deadline, "never subscribed: {other:?}"),
            }
            tokio::time::sleep(POLL).await;
        };
        let stream = response.headers()["mesos-stream-id"].to_str().expect("ASCII").to_owned();
        (self.stream, self.response, self.reader) = (stream, Some(response), Reader::default());
        let subscribed = self.until(event::Type::Subscribed).await.subscribed;
        self.id = Some(subscribed.expect("of that type").framework_id);
    }

    pub(crate) async fn next(&mut self) -> Event {
        loop {
            if let Some(record) = self.reader.take().expect("records") {
                return Encoding::Protobuf.decode(&record).expect("an event");
            }
            let response = self.response.as_mut().expect("it is subscribed");
            let piece = tokio::time::timeout(PATIENCE, response.chunk()).await;
            let piece = piece.expect("an event in time").expect("a stream");
            self.reader.push(&piece.expect("the stream goes on"));
        }
    }

    /// Acknowledges and notes what it hears of tasks on the way.
    pub(crate) async fn until(&mut self, kind: event::Type) -> Event {
        loop {
            let event = self.next().await;
            if let Some(update) = &event.update {
                self.hear(&update.status).await;
            }
            if event.r#type() == kind {
                return event;
            }
        }
    }

    pub(crate) async fn hear(&mut self, status: &TaskStatus) {
        self.states.insert(status.task_id.value.clone(), status.state());
        let (Some(uuid), Some(agent)) = (&status.uuid, &status.agent_id) else { return };
        let acknowledge = call::Acknowledge {
            agent_id: agent.clone(),
            task_id: status.task_id.clone(),
            uuid: uuid.clone(),
        };
        let acknowledge = Some(acknowledge);
        self.says(Call { r#type: Some(Type::Acknowledge as i32), acknowledge, ..Call::default() })
            .await;
    }

    pub(crate) async fn says(&self, call: Call) {
        let call = Call { framework_id: self.id.clone(), ..call };
        let response = self.post(&call).await.expect("the cluster answers");
        let (status, text) = (response.status(), response.text().await.unwrap_or_default());
        assert_eq!((status.as_u16(), text.as_str()), (202, ""), "{call:?}");
    }

    pub(crate) async fn until_all_are(&mut self, count: usize, state: TaskState) {
        while self.states.values().filter(|one| **one == state).count() < count {
            self.until(event::Type::Update).await;
        }
    }

    async fn launch(&self, offer: &Offer, names: &[String]) {
        let tasks = names.iter().map(|name| sleeper(offer, name)).collect();
        let launch = offer::operation::Launch { task_infos: tasks };
        let operation = offer::Operation {
            r#type: Some(offer::operation::Type::Launch as i32),
            launch: Some(launch),
            ..offer::Operation::default()
        };
        let accept = call::Accept {
            offer_ids: vec![offer.id.clone()],
            operations: vec![operation],
            filters: Some(Filters { refuse_seconds: Some(600.0) }),
        };
        let accept = Some(accept);
        self.says(Call { r#type: Some(Type::Accept as i32), accept, ..Call::default() }).await;
    }

    /// Asks for all its tasks, and notes only what it hears then.
    pub(crate) async fn reconcile(&mut self) {
        self.states.clear();
        let reconcile = Some(call::Reconcile::default());
        self.says(Call { r#type: Some(Type::Reconcile as i32), reconcile, ..Call::default() })
            .await;
    }

    async fn kill(&self, name: &str) {
        let task_id = TaskId { value: name.to_owned() };
        let kill = Some(call::Kill { task_id, agent_id: None, kill_policy: None });
        self.says(Call { r#type: Some(Type::Kill as i32), kill, ..Call::default() }).await;
    }
}

pub(crate) fn scalar(name: &str, value: f64) -> Resource {
    Resource {
        name: name.to_owned(),
        r#type: value::Type::Scalar as i32,
        scalar: Some(value::Scalar { value }),
        ..Resource::default()
    }
}

pub(crate) fn sleeper(offer: &Offer, name: &str) -> TaskInfo {
    TaskInfo {
        name: name.to_owned(),
        task_id: TaskId { value: name.to_owned() },
        agent_id: AgentId { value: offer.agent_id.value.clone() },
        resources: vec![scalar("cpus", 0.01), scalar("mem", 16.0)],
        command: Some(CommandInfo {
            value: Some("exec sleep 1000".to_owned()),
            ..CommandInfo::default()
        }),
        ..TaskInfo::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_framework_in_protobuf_outlives_scheduler_and_daemon() {
    let mut cluster = Cluster::start("127.80.65.1", &[]).await;
    let mut scheduler = Scheduler::new(&cluster);
    scheduler.subscribe().await;
    let offers = scheduler.until(event::Type::Offers).await.offers.expect("of that type").offers;
    let names: Vec<String> = (0..5).map(|n| format!("sleeper-{n}")).collect();
    scheduler.launch(&offers[0], &names).await;
    scheduler.until_all_are(names.len(), TaskState::TaskRunning).await;
    // The scheduler dies and another takes its place.
    let mut scheduler = Scheduler { id: scheduler.id.clone(), ..Scheduler::new(&cluster) };
    scheduler.subscribe().await;
    scheduler.reconcile().await;
    scheduler.until_all_are(names.len(), TaskState::TaskRunning).await;
    // Master and agent die.
    cluster.kill();
    cluster.run(Tasks::Stop).await;
    scheduler.subscribe().await;
    scheduler.reconcile().await;
    scheduler.until_all_are(names.len(), TaskState::TaskRunning).await;
    for name in &names {
        scheduler.kill(name).await;
    }
    scheduler.until_all_are(names.len(), TaskState::TaskKilled).await;
    scheduler.says(Call { r#type: Some(Type::Teardown as i32), ..Call::default() }).await;
}
