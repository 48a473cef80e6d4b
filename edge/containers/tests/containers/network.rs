//! Containers whose network is not the machine's.

use std::process::{Child, Command};
use std::time::Duration;

use containers::spec::{Exec, Shares, Spec};
use model::confinement::{Confinement, Sharing};
use model::id::ContainerId;
use tokio::net::{TcpListener, TcpStream};

use crate::exec::outcome;
use crate::image::{image, layers};
use crate::world::{World, shell, wait_until};

/// Its network, and the devices in it.
const LOOK: &str = "readlink /proc/self/ns/net; tail -n +3 /proc/net/dev | cut -d: -f1";

fn apart() -> Confinement {
    Confinement { net: Some(Sharing::Private), ..Confinement::default() }
}

fn own() -> String {
    std::fs::read_link("/proc/self/ns/net").expect("read").display().to_string()
}

async fn words(world: &mut World, spec: &Spec) -> Vec<String> {
    assert_eq!(world.run(spec).await.wait_status, 0, "{}", world.log(spec, "stderr"));
    world.log(spec, "stdout").split_whitespace().map(String::from).collect()
}

/// Runs until it is killed. Says which network it has.
async fn lasting(world: &mut World, change: impl FnOnce(Spec) -> Spec) -> (Spec, String) {
    let spec = change(world.spec(shell("readlink /proc/self/ns/net; exec sleep 1000")));
    world.launch(&spec).await;
    let said = || world.log(&spec, "stdout");
    wait_until("it names its network", || said().ends_with('\n'), said).await;
    let said = said().trim().to_string();
    (spec, said)
}

#[tokio::test]
async fn a_network_of_its_own_has_a_loopback_that_is_up_and_nothing_else() {
    let mut world = World::open().await;
    let spec = Spec { confinement: apart(), ..world.spec(shell(LOOK)) };
    let seen = words(&mut world, &spec).await;
    assert!(seen[0] != own() && seen[1..] == ["lo"], "{seen:?}");
    let machines = world.spec(shell(LOOK));
    assert_eq!(words(&mut world, &machines).await[0], own());
    let knock = "bash -c ': > /dev/tcp/127.0.0.1/9' 2>&1 | grep -o 'Connection refused' | tail -1";
    let spec = Spec { confinement: apart(), ..world.spec(shell(knock)) };
    assert_eq!(words(&mut world, &spec).await, ["Connection", "refused"]);
    let layers = layers(&world);
    let spec = image(&mut world, &layers, shell("ls /sys/class/net"));
    let spec = Spec { confinement: apart(), user: Some("1000".into()), ..spec };
    assert_eq!(words(&mut world, &spec).await, ["lo"], "its /sys is of its network");
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn sessions_and_what_lies_in_a_container_are_in_its_network() {
    let mut world = World::open().await;
    let (outer, network) = lasting(&mut world, |spec| Spec { confinement: apart(), ..spec }).await;
    assert_ne!(network, own());
    let session = Exec {
        run: shell("readlink /proc/self/ns/net"),
        environment: Vec::new(),
        user: None,
        working_dir: None,
        terminal: None,
    };
    let session = world.containers().exec(&outer.container, session).await.expect("begun");
    assert_eq!(outcome(session).await.0.trim(), network);
    let within = |name: &str, spec: Spec| Spec {
        container: ContainerId::new(format!("{}.{name}", outer.container)),
        ..spec
    };
    let spec = within("one", world.spec(shell(LOOK)));
    assert_eq!(words(&mut world, &spec).await, [network.as_str(), "lo"]);
    let spec = within("two", Spec { confinement: apart(), ..world.spec(shell(LOOK)) });
    assert_ne!(words(&mut world, &spec).await[0], network);
    world.kill(&outer).await;
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn those_of_a_group_may_have_a_network_in_common() {
    let mut world = World::open().await;
    let group = ContainerId::new("group");
    let shares = Some(Shares { group, pid: false, ipc: false, shm_bytes: None, net: true });
    let shared = |spec: Spec| Spec { shares: shares.clone(), ..spec };
    let (first, network) = lasting(&mut world, shared).await;
    assert_ne!(network, own());
    let second = shared(world.spec(shell(LOOK)));
    assert_eq!(words(&mut world, &second).await, [network.as_str(), "lo"]);
    world.reopen().await;
    let third = shared(world.spec(shell(LOOK)));
    assert_eq!(words(&mut world, &third).await[0], network, "it outlives the daemon");
    world.kill(&first).await;
    world.check_nothing_is_left().await;
}

/// A network that somebody has made, which ends with this.
struct Made(Child);

impl Made {
    fn new() -> Made {
        let made = Command::new("unshare").args(["--net", "sleep", "1000"]).spawn();
        Made(made.expect("unshare runs"))
    }

    fn file(&self) -> std::path::PathBuf {
        format!("/proc/{}/ns/net", self.0.id()).into()
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_network_can_be_handed_in() {
    let mut world = World::open().await;
    let made = Made::new();
    let name = || std::fs::read_link(made.file()).expect("read").display().to_string();
    wait_until("it is made", || name() != own(), name).await;
    let spec = Spec { network: Some(made.file()), ..world.spec(shell(LOOK)) };
    assert_eq!(words(&mut world, &spec).await, [name().as_str(), "lo"]);
    let spec = Spec { network: Some("/no/such/network".into()), ..world.spec(shell("true")) };
    let refused = world.containers().launch(spec).await.expect_err("there is none");
    assert!(refused.cause.contains("/no/such/network"), "{refused}");
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn the_daemon_can_work_in_a_containers_network() {
    let mut world = World::open().await;
    let (spec, _) = lasting(&mut world, |spec| Spec { confinement: apart(), ..spec }).await;
    let listener = TcpListener::bind("127.74.0.1:0").await.expect("bound");
    let at = listener.local_addr().expect("an address");
    let there = async |world: &World| {
        let network = world.containers().network(&spec.container).await.expect("it runs");
        network.expect("it has one of its own")
    };
    let reached = there(&world).await.run(TcpStream::connect(at)).await.expect("entered");
    let kind = reached.err().map(|e| e.kind());
    assert_eq!(kind, Some(std::io::ErrorKind::ConnectionRefused), "nobody listens in there");
    let both = async move {
        let _listener = TcpListener::bind(at).await?;
        TcpStream::connect(at).await
    };
    there(&world).await.run(both).await.expect("entered").expect("somebody listens in there");
    let (other, _) = lasting(&mut world, |spec| spec).await;
    let network = world.containers().network(&other.container).await.expect("it runs");
    assert!(network.is_none(), "it is in the machine's");
    let within = ContainerId::new(format!("{}.inner", other.container));
    let within = Spec { container: within, ..world.spec(shell("exec sleep 1000")) };
    world.launch(&within).await;
    assert!(!world.containers().is_apart(&within.container), "and so is what lies in it");
    for spec in [&spec, &other] {
        world.containers().stop(&spec.container, Duration::ZERO).await.expect("asked");
    }
    for _ in 0..3 {
        let ended = world.next_event().await.container;
        world.containers().remove(&ended).await.expect("removed");
    }
    world.check_nothing_is_left().await;
}
