//! An executor in protobuf, of a framework in protobuf. The test itself says what the executor would: of the program that
//! the agent starts for it nothing is asked but to be there.

use std::time::Instant;

use mesos_v1::codec::{Encoding, PROTOBUF};
use mesos_v1::executor::call::{self, Subscribe, Type, Update};
use mesos_v1::executor::event::Type as Told;
use mesos_v1::executor::{Call, Event};
use mesos_v1::recordio::Reader;
use mesos_v1::scheduler::Call as SchedulerCall;
use mesos_v1::scheduler::call::{self as of_scheduler, Type as SchedulerType};
use mesos_v1::scheduler::event::Type as Heard;
use mesos_v1::task_status::Source;
use mesos_v1::{
    CommandInfo, ExecutorId, ExecutorInfo, FrameworkId, Offer, TaskGroupInfo, TaskId, TaskState,
    TaskStatus, executor_info, offer,
};

use crate::cluster::{Cluster, Tasks};
use crate::frameworks::{PATIENCE, POLL, Scheduler, scalar, sleeper};

struct Executor {
    url: String,
    http: reqwest::Client,
    framework: FrameworkId,
    response: Option<reqwest::Response>,
    reader: Reader,
}

impl Executor {
    async fn post(&self, call: Call) -> reqwest::Result<reqwest::Response> {
        let call = Call { executor_id: id(), framework_id: self.framework.clone(), ..call };
        let mut request = self.http.post(&self.url);
        for name in ["content-type", "accept"] {
            request = request.header(name, PROTOBUF);
        }
        request.body(Encoding::Protobuf.encode(&call)).send().await
    }

    /// Until it is subscribed: the agent may not have heard of it yet.
    async fn subscribe(&mut self, unacknowledged_updates: Vec<Update>) {
        let subscribe = Some(Subscribe { unacknowledged_updates, ..Subscribe::default() });
        let call = Call { r#type: Some(Type::Subscribe.into()), subscribe, ..Call::default() };
        let deadline = Instant::now() + PATIENCE;
        let response = loop {
            match self.post(call.clone()).await {
                Ok(response) if response.status() == 200 => break response,
                other => assert!(Instant::now() < deadline, "never subscribed: {other:?}"),
            }
            tokio::time::sleep(POLL).await;
        };
        (self.response, self.reader) = (Some(response), Reader::default());
        self.until(Told::Subscribed).await;
    }

    async fn until(&mut self, kind: Told) -> Event {
        loop {
            while let Some(record) = self.reader.take().expect("records") {
                let event: Event = Encoding::Protobuf.decode(&record).expect("an event");
                if event.r#type() == kind {
                    return event;
                }
            }
            let response = self.response.as_mut().expect("it is subscribed");
            let piece = tokio::time::timeout(PATIENCE, response.chunk()).await;
            let piece = piece.expect("an event in time").expect("a stream");
            self.reader.push(&piece.expect("the stream goes on"));
        }
    }

    async fn says(&self, call: Call) {
        let response = self.post(call).await.expect("the agent answers");
        assert_eq!(response.status(), 202);
    }

    /// Until the agent has it on its disk.
    async fn updates(&mut self, update: Update) {
        let uuid = update.status.uuid.clone().expect("it has one");
        let r#type = Some(Type::Update.into());
        self.says(Call { r#type, update: Some(update), ..Call::default() }).await;
        let acknowledged = self.until(Told::Acknowledged).await.acknowledged;
        assert_eq!(acknowledged.expect("of that type").uuid, uuid);
    }
}

fn id() -> ExecutorId {
    ExecutorId { value: "program".to_owned() }
}

/// The name of a task and its nth update.
fn update(task: &str, state: TaskState, nth: u8) -> Update {
    let status = TaskStatus {
        task_id: TaskId { value: task.to_owned() },
        state: state.into(),
        source: Some(Source::Executor.into()),
        uuid: Some(vec![nth; 16]),
        ..TaskStatus::default()
    };
    Update { status }
}

fn launch(offer: &Offer, names: [&str; 2]) -> SchedulerCall {
    let executor = ExecutorInfo {
        executor_id: id(),
        r#type: Some(executor_info::Type::Custom.into()),
        command: Some(CommandInfo {
            value: Some("exec sleep 1000".to_owned()),
            ..CommandInfo::default()
        }),
        // The least that an executor of a group has to have.
        resources: vec![scalar("cpus", 0.1), scalar("mem", 32.0), scalar("disk", 1.0)],
        ..ExecutorInfo::default()
    };
    let tasks = names.map(|name| mesos_v1::TaskInfo { command: None, ..sleeper(offer, name) });
    let task_group = TaskGroupInfo { tasks: tasks.into() };
    let operation = offer::Operation {
        r#type: Some(offer::operation::Type::LaunchGroup.into()),
        launch_group: Some(offer::operation::LaunchGroup { executor, task_group }),
        ..offer::Operation::default()
    };
    let accept = of_scheduler::Accept {
        offer_ids: vec![offer.id.clone()],
        operations: vec![operation],
        ..of_scheduler::Accept::default()
    };
    let r#type = Some(SchedulerType::Accept.into());
    SchedulerCall { r#type, accept: Some(accept), ..SchedulerCall::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_in_protobuf_outlives_the_daemon_and_ends_when_it_is_told() {
    let mut cluster = Cluster::start("127.80.67.1", &[]).await;
    let mut scheduler = Scheduler::new(&cluster);
    scheduler.subscribe().await;
    let offers = scheduler.until(Heard::Offers).await.offers.expect("of that type").offers;
    scheduler.says(launch(&offers[0], ["one", "two"])).await;
    let mut executor = Executor {
        url: format!("http://{}:5051/api/v1/executor", cluster.ip),
        http: reqwest::Client::new(),
        framework: scheduler.id.clone().expect("it is subscribed"),
        response: None,
        reader: Reader::default(),
    };
    executor.subscribe(vec![]).await;
    let group = executor.until(Told::LaunchGroup).await.launch_group.expect("of that type");
    assert_eq!(group.task_group.tasks.len(), 2);
    executor.updates(update("one", TaskState::TaskRunning, 1)).await;
    executor.updates(update("two", TaskState::TaskRunning, 2)).await;
    scheduler.until_all_are(2, TaskState::TaskRunning).await;

    cluster.kill();
    cluster.run(Tasks::Stop).await;
    // What it could not tell meanwhile it tells as it subscribes.
    executor.subscribe(vec![update("one", TaskState::TaskFinished, 3)]).await;
    scheduler.subscribe().await;
    scheduler.until_all_are(1, TaskState::TaskFinished).await;
    scheduler.reconcile().await;
    scheduler.until_all_are(1, TaskState::TaskRunning).await;

    let agent_id = offers[0].agent_id.clone();
    let data = b"to the executor".to_vec();
    let message = of_scheduler::Message { agent_id: agent_id.clone(), executor_id: id(), data };
    let r#type = Some(SchedulerType::Message.into());
    let message = Some(message);
    scheduler.says(SchedulerCall { r#type, message, ..SchedulerCall::default() }).await;
    let data = executor.until(Told::Message).await.message.expect("of that type").data;
    assert_eq!(data, b"to the executor");
    let message = Some(call::Message { data });
    executor.says(Call { r#type: Some(Type::Message.into()), message, ..Call::default() }).await;
    let message = scheduler.until(Heard::Message).await.message.expect("of that type");
    assert_eq!((message.executor_id, message.data), (id(), b"to the executor".to_vec()));

    let shutdown = Some(of_scheduler::Shutdown { executor_id: id(), agent_id });
    let r#type = Some(SchedulerType::Shutdown.into());
    scheduler.says(SchedulerCall { r#type, shutdown, ..SchedulerCall::default() }).await;
    executor.until(Told::Shutdown).await;
    // It does not heed it, and is killed.
    let failure = scheduler.until(Heard::Failure).await.failure.expect("of that type");
    assert_eq!((failure.executor_id, failure.status), (Some(id()), Some(9)));
    scheduler.until_all_are(1, TaskState::TaskFailed).await;
    let r#type = Some(SchedulerType::Teardown.into());
    scheduler.says(SchedulerCall { r#type, ..SchedulerCall::default() }).await;
}
