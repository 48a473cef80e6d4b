//! Delivers letters between the machines until none is left.

use std::collections::VecDeque;

use kernel::Kernel;
use model::framework::FrameworkInfo;
use model::id::{FrameworkId, Uuid};
use model::machine::Machine;
use model::scheduler::{Call, Event};
use model::time::Time;
use model::wishes::Wishes;
use services::Services;

use crate::{Effect, Input, Out, Record, Refusal, Reply, View};

/// Letters delivered in one step. What is left waits for a tick, which is asked for at once.
pub const LETTERS_MAX: usize = 256;
/// A step that has written so many records leaves its letters for the next tick, so that a commit stays bounded.
pub const RECORDS_MAX: usize = 2_048;

/// Kernel and services, and what they have yet to tell each other.
#[derive(Debug)]
pub struct Cluster {
    name: String,
    kernel: Kernel,
    services: Services,
    /// The name of services among the kernel's frameworks.
    framework: FrameworkId,
    post: VecDeque<Letter>,
    /// Letters were left at this time.
    left_at: Option<Time>,
}

/// From one machine to the other.
#[derive(Debug)]
enum Letter {
    ToKernel(Call),
    ToServices(Event),
}

/// A seed for each letter of a step, so that no two inputs of services make the same ids.
struct Seeds {
    seed: u64,
    given: u64,
}

impl Seeds {
    fn next(&mut self) -> u64 {
        self.given += 1;
        let [a, b, c, d, e, f, g, h, ..] = Uuid::derive(self.seed, self.given).0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

impl Cluster {
    /// `name` prefixes all ids; it never changes in the life of a cluster.
    pub fn new(name: &str, kernel: kernel::Config, services: services::Config) -> Self {
        let framework = FrameworkId::new(format!("{name}-0000"));
        Self {
            name: name.to_owned(),
            kernel: Kernel::new(kernel),
            services: Services::new(services, framework.clone()),
            framework,
            post: VecDeque::new(),
            left_at: None,
        }
    }

    pub fn view(&self) -> View {
        View { kernel: self.kernel.view(), services: self.services.view() }
    }

    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    pub fn services(&self) -> &Services {
        &self.services
    }

    /// What the input itself says, to the machine that it is for. Letters that follow from it are posted.
    fn open(
        &mut self,
        now: Time,
        input: Input,
        seeds: &mut Seeds,
        out: &mut Out,
    ) -> Result<Reply, Refusal> {
        match input {
            Input::Lead { term, cluster, seed: _ } => {
                assert_eq!(cluster, self.name, "a store belongs to one cluster");
                self.tell_kernel(now, kernel::Input::Lead { term, cluster }, out)?;
                self.tell_services(now, services::Input::Lead { term }, out)?;
                let info = self.services.framework_info();
                self.tell_kernel(now, kernel::Input::Subscribe { info }, out)
            }
            Input::Services { order, seed: _ } => {
                self.tell_services(now, services::Input::Order { order, seed: seeds.next() }, out)
            }
            Input::Subscribe { info, wishes, seed: _ } => self.subscribe(now, info, wishes, out),
            Input::FrameworkLost { framework } => {
                self.tell_kernel(now, kernel::Input::FrameworkLost { framework }, out)
            }
            // What it has to say itself comes by letter.
            Input::Framework { from, .. } if from == self.framework => {
                Err(Refusal::OwnFramework(from))
            }
            Input::Framework { from, call, seed: _ } => {
                self.tell_kernel(now, kernel::Input::Framework { from, call }, out)
            }
            Input::Agent { connection, message, seed: _ } => {
                self.tell_kernel(now, kernel::Input::Agent { connection, message }, out)
            }
            Input::AgentLost { connection, seed: _ } => {
                self.tell_kernel(now, kernel::Input::AgentLost { connection }, out)
            }
            Input::Operator { order, seed: _ } => {
                self.tell_kernel(now, kernel::Input::Operator { order }, out)
            }
            Input::Tick { seed: _ } => self.tick(now, out),
        }
    }

    /// A framework outside. It gets no offers that it does not want before it hears of its id.
    fn subscribe(
        &mut self,
        now: Time,
        info: FrameworkInfo,
        wishes: Wishes,
        out: &mut Out,
    ) -> Result<Reply, Refusal> {
        if info.id.as_ref() == Some(&self.framework) {
            return Err(Refusal::OwnFramework(self.framework.clone()));
        }
        // What cannot be obeyed is refused before anybody is disturbed.
        kernel::constraints::judge(&wishes.constraints)
            .map_err(|cause| Refusal::Kernel(kernel::Refusal::InvalidFramework(cause)))?;
        let same = info.clone();
        self.tell_kernel(now, kernel::Input::Subscribe { info }, out)?;
        let told = out.effects.iter().rev().find_map(|effect| match effect {
            Effect::Event(_, Event::Subscribed { framework }) => Some(framework.clone()),
            Effect::Event(..) | Effect::ToAgent(..) | Effect::Disconnect(_) | Effect::Notice(_) => {
                None
            }
        });
        let id = told.expect("the kernel tells who has subscribed");
        if wishes != Wishes::default() {
            let call = Call::UpdateFramework { info: same, wishes: Some(wishes) };
            let from = id.clone();
            self.tell_kernel(now, kernel::Input::Framework { from, call }, out)?;
        }
        Ok(Reply::Subscribed(id))
    }

    /// To whoever asked for it.
    fn tick(&mut self, now: Time, out: &mut Out) -> Result<Reply, Refusal> {
        let due = |at: Option<Time>| at.is_some_and(|at| at <= now);
        if due(self.kernel.wake_at()) {
            self.tell_kernel(now, kernel::Input::Tick, out)?;
        }
        if due(self.services.wake_at()) {
            self.tell_services(now, services::Input::Tick, out)?;
        }
        Ok(Reply::Done)
    }

    fn deliver(&mut self, now: Time, seeds: &mut Seeds, out: &mut Out) {
        let limit = out.records.len() + RECORDS_MAX;
        for _ in 0..LETTERS_MAX {
            if out.records.len() >= limit {
                break;
            }
            match self.post.pop_front() {
                Some(Letter::ToKernel(call)) => self.call(now, call, out),
                Some(Letter::ToServices(event)) => {
                    let heard = services::Input::Heard { event, seed: seeds.next() };
                    self.tell_services(now, heard, out).expect("services refuse no event");
                }
                None => break,
            }
        }
        self.left_at = (!self.post.is_empty()).then_some(now);
    }

    /// A call of services. If it is refused they hear of it, as a framework outside would.
    fn call(&mut self, now: Time, call: Call, out: &mut Out) {
        let from = self.framework.clone();
        let input = kernel::Input::Framework { from, call: call.clone() };
        if let Err(refusal) = self.tell_kernel(now, input, out) {
            let cause = refusal.to_string();
            let refused = services::Input::Refused { call, cause };
            self.tell_services(now, refused, out).expect("services bear being refused");
        }
    }

    fn tell_kernel(
        &mut self,
        now: Time,
        input: kernel::Input,
        out: &mut Out,
    ) -> Result<Reply, Refusal> {
        let mut own = kernel::Out::default();
        let done = self.kernel.step(now, input, &mut own);
        out.records.extend(own.records.into_iter().map(Record::Kernel));
        for effect in own.effects {
            match effect {
                kernel::Effect::Event(to, event) if to == self.framework => {
                    self.post.push_back(Letter::ToServices(event));
                }
                kernel::Effect::Event(to, event) => out.effects.push(Effect::Event(to, event)),
                kernel::Effect::ToAgent(to, message) => {
                    out.effects.push(Effect::ToAgent(to, message));
                }
                kernel::Effect::Disconnect(from) => out.effects.push(Effect::Disconnect(from)),
            }
        }
        Ok(done.map(|()| Reply::Done)?)
    }

    fn tell_services(
        &mut self,
        now: Time,
        input: services::Input,
        out: &mut Out,
    ) -> Result<Reply, Refusal> {
        let mut own = services::Out::default();
        let done = self.services.step(now, input, &mut own);
        out.records.extend(own.records.into_iter().map(Record::Services));
        for effect in own.effects {
            match effect {
                services::Effect::Call(call) => self.post.push_back(Letter::ToKernel(call)),
                services::Effect::Notice(notice) => out.effects.push(Effect::Notice(notice)),
            }
        }
        Ok(done.map(Reply::Services)?)
    }
}

impl Machine for Cluster {
    type Input = Input;
    type Reply = Reply;
    type Refusal = Refusal;
    type Record = Record;
    type Effect = Effect;

    fn step(&mut self, now: Time, input: Input, out: &mut Out) -> Result<Reply, Refusal> {
        let mut seeds = Seeds { seed: seed(&input), given: 0 };
        let reply = self.open(now, input, &mut seeds, out);
        self.deliver(now, &mut seeds, out);
        reply
    }

    fn apply(&mut self, record: &Record) {
        match record {
            Record::Kernel(record) => self.kernel.apply(record),
            Record::Services(record) => self.services.apply(record),
        }
    }

    fn wake_at(&self) -> Option<Time> {
        let asked = [self.left_at, self.kernel.wake_at(), self.services.wake_at()];
        asked.into_iter().flatten().min()
    }
}

fn seed(input: &Input) -> u64 {
    match input {
        Input::Lead { seed, .. }
        | Input::Services { seed, .. }
        | Input::Subscribe { seed, .. }
        | Input::Framework { seed, .. }
        | Input::Agent { seed, .. }
        | Input::AgentLost { seed, .. }
        | Input::Operator { seed, .. }
        | Input::Tick { seed } => *seed,
        // The kernel starts a timer and tells nobody.
        Input::FrameworkLost { .. } => 0,
    }
}
