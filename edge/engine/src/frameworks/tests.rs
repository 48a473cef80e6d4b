//! Who holds a framework's id, whatever order its streams come and go in.

use std::time::Duration;

use model::framework::FrameworkInfo;
use model::id::{Connection, FrameworkId, OfferId};
use model::scheduler::Event;
use model::wishes::Wishes;
use tokio::sync::{mpsc, oneshot};

use super::*;

fn id() -> FrameworkId {
    FrameworkId::new("f")
}

fn wanted() -> Subscription {
    let info = FrameworkInfo {
        id: Some(id()),
        name: "f".to_owned(),
        user: "root".to_owned(),
        roles: Vec::new(),
        failover_timeout: Duration::ZERO,
        checkpoint: false,
        hostname: String::new(),
        principal: None,
        webui_url: None,
        capabilities: Vec::new(),
        labels: Vec::new(),
        offer_minima: Default::default(),
    };
    Subscription { info, wishes: Wishes::default() }
}

/// The client's end of a stream.
struct Client {
    connection: Connection,
    events: mpsc::UnboundedReceiver<Vec<Event>>,
    answer: oneshot::Receiver<Result<FrameworkId, FrameworkError>>,
}

impl Client {
    /// Everything it has been told, and whether that is all it will ever be.
    fn heard(&mut self) -> (Vec<Event>, bool) {
        let mut heard = Vec::new();
        loop {
            match self.events.try_recv() {
                Ok(events) => heard.extend(events),
                Err(mpsc::error::TryRecvError::Empty) => return (heard, false),
                Err(mpsc::error::TryRecvError::Disconnected) => return (heard, true),
            }
        }
    }
}

fn ask(frameworks: &mut Frameworks, number: u64) -> (Client, Asked) {
    let (reply, answer) = oneshot::channel();
    let (queue, events) = mpsc::unbounded_channel();
    let connection = Connection(number);
    let asked = Asked { connection, queue, waiting: Arc::default(), reply };
    frameworks.expect(&asked, &wanted());
    (Client { connection, events, answer }, asked)
}

/// A whole batch that subscribes it. Gives the frameworks that are without a stream after it.
fn admit(frameworks: &mut Frameworks, asked: Asked) -> Vec<FrameworkId> {
    let connection = asked.connection();
    frameworks.admit(id(), asked);
    frameworks.tell(id(), subscribed());
    let mut lost = frameworks.send();
    lost.extend(frameworks.lose_gone(&[connection]));
    lost
}

fn subscribed() -> Event {
    Event::Subscribed { framework: id() }
}

fn rescind() -> Event {
    Event::Rescind(OfferId::new("o"))
}

fn refusal() -> FrameworkError {
    FrameworkError::Refused(cluster::Refusal::OwnFramework(id()))
}

#[test]
fn who_takes_over_hears_what_follows_and_who_held_it_hears_so() {
    let mut frameworks = Frameworks::default();
    let (mut first, asked) = ask(&mut frameworks, 1);
    assert_eq!(admit(&mut frameworks, asked), []);
    assert_eq!(first.answer.try_recv().ok(), Some(Ok(id())));
    let (mut second, asked) = ask(&mut frameworks, 2);
    frameworks.admit(id(), asked);
    for event in [rescind(), subscribed(), rescind(), rescind()] {
        frameworks.tell(id(), event);
    }
    assert_eq!(frameworks.send(), []);
    let over = Event::Error(FAILED_OVER.to_owned());
    assert_eq!(first.heard(), (vec![subscribed(), rescind(), over], true));
    assert_eq!(second.heard(), (vec![subscribed(), rescind(), rescind()], false));
    assert_eq!(frameworks.lose(first.connection), None, "it holds nothing any more");
}

#[test]
fn a_framework_is_lost_once_nobody_holds_its_id_or_is_about_to() {
    let mut frameworks = Frameworks::default();
    let (first, asked) = ask(&mut frameworks, 1);
    admit(&mut frameworks, asked);
    let (_second, asked) = ask(&mut frameworks, 2);
    assert_eq!(frameworks.lose(first.connection), None, "another is on its way");
    assert_eq!(frameworks.refused(asked, refusal()), Some(id()), "which was refused");
    let (third, asked) = ask(&mut frameworks, 3);
    assert_eq!(frameworks.lose(third.connection), None, "nothing is decided yet");
    assert_eq!(admit(&mut frameworks, asked), [id()], "it went away meanwhile");
    let (fourth, asked) = ask(&mut frameworks, 4);
    admit(&mut frameworks, asked);
    assert_eq!(frameworks.lose(fourth.connection), Some(id()));
    assert_eq!(frameworks.lose(fourth.connection), None, "it is lost once");
    assert!(frameworks.pending.is_empty() && frameworks.orphans.is_empty());
}

#[test]
fn who_does_not_read_is_cut_off_but_never_in_the_middle_of_a_turn() {
    let mut frameworks = Frameworks::default();
    let (mut client, asked) = ask(&mut frameworks, 1);
    admit(&mut frameworks, asked);
    (0..=EVENTS_QUEUED_MAX).for_each(|_| frameworks.tell(id(), rescind()));
    assert_eq!(frameworks.send(), [], "what one turn says is said whole");
    frameworks.tell(id(), rescind());
    assert_eq!(frameworks.send(), [id()]);
    let (heard, over) = client.heard();
    assert_eq!((heard.len(), over), (EVENTS_QUEUED_MAX + 2, true));
}
