//! What a container writes over its image is counted and limited by the kernel, where the disk has projects.

use containers::policy::{IdMap, Policy};
use containers::projects::Disk;

use crate::disk::{Counted, KINDS};
use crate::image::{image, layers};
use crate::world::{World, shell};

const PROJECT: u32 = 7_000;
const BYTES_MAX: u64 = 8 << 20;

#[tokio::test]
async fn what_is_written_over_an_image_is_counted_and_limited() {
    limits(Policy::default()).await;
}

#[tokio::test]
async fn nor_does_root_of_users_of_its_own_write_more() {
    let user_ids = Some(IdMap { first: 200_000, count: 65_536 });
    limits(Policy { user_ids, map_users: true, ..Policy::default() }).await;
}

async fn limits(policy: Policy) {
    for kind in KINDS {
        let mut world = World::open().await;
        let Some(disk) = Counted::mount(kind, world.path()) else { continue };
        world.config.policy = policy.clone();
        world.config.layer_dir = disk.at.join("layers");
        world.reopen().await;
        let layers = layers(&world);
        let write = "mkdir /srv/deep; \
            dd if=/dev/zero of=/srv/deep/data bs=1M count=4 2> /dev/null && echo some; \
            dd if=/dev/zero of=/srv/more bs=1M count=16 2> /dev/null || echo refused; \
            rm /srv/more; mv /srv/deep/data /etc/data && rm /etc/data && echo moved";
        let mut spec = image(&mut world, &layers, shell(write));
        spec.project = Some(PROJECT);
        let counted = Disk::of(&disk.at).expect("opened");
        counted.limit(PROJECT, Some(BYTES_MAX)).expect("limited");
        world.run(&spec).await;
        assert_eq!(world.log(&spec, "stdout"), "some\nrefused\nmoved\n", "{kind:?}");
        let used = counted.used(PROJECT).expect("told");
        assert_eq!(used.bytes_max, Some(BYTES_MAX), "{used:?}");
        world.check_nothing_is_left().await;
        world.close().await;
        drop((counted, disk));
    }
}
