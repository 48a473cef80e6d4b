//! Operations on offered resources.

use serde_json::{Value, json};

use crate::rows::{check, dynamic, of_disk, reserved, scalar, source, volume, with};

#[tokio::test(flavor = "multi_thread")]
async fn reservations_are_judged() -> anyhow::Result<()> {
    check(|rows| {
        rows.reserve(scalar("cpus", -1.0), "Invalid resources");
        rows.reserve(scalar("cpus", 1.0), "the last is to be DYNAMIC");
        let from = |source: Value, one: Value| json!({ "source": source, "resources": [one] });
        rows.operate(
            "RESERVE",
            from(json!([scalar("cpus", -1.0)]), reserved("cpus", 1.0)),
            "Invalid",
        );
        let mixed = json!([scalar("cpus", 1.0), reserved("mem", 1.0)]);
        rows.operate("RESERVE", from(mixed, reserved("cpus", 1.0)), "the same reservations");
        let other = json!([scalar("cpus", 2.0)]);
        rows.operate("RESERVE", from(other, reserved("cpus", 1.0)), "they are to be the same but");
        let by = |principal: Value| {
            let one = json!({ "type": "DYNAMIC", "role": "db", "principal": principal });
            with(scalar("cpus", 1.0), &json!({ "reservations": [one] }))
        };
        rows.reserve(by(Value::Null), "the last names principal none");
        rows.reserve(by(json!("other")), "the last names principal other");
        let role =
            |role: &str| with(scalar("cpus", 1.0), &json!({ "reservations": [dynamic(role)] }));
        rows.reserve(role("other"), "the last is for role other, but the offer is to db");
        let to = with(reserved("cpus", 1.0), &json!({ "allocation_info": { "role": "other" } }));
        rows.reserve(to, "allocated to role 'other'");
        rows.reserve(reserved("cpus", 99.0), "it needs cpus:99");

        // UNRESERVE
        let unreserve = |one: Value| json!({ "resources": [one] });
        rows.operate("UNRESERVE", unreserve(scalar("cpus", 1.0)), "the last is not DYNAMIC");
        rows.operate("UNRESERVE", unreserve(volume("v")), "destroy the volume first");
        rows.operate("UNRESERVE", unreserve(reserved("cpus", 1.0)), "it needs");
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn making_and_removing_volumes_is_judged() -> anyhow::Result<()> {
    check(|rows| {
        rows.create(reserved("disk", 64.0), "disk: it is not set");
        rows.create(source("MOUNT"), "disk.persistence: it is not set");
        let read_only = json!({ "volume": { "container_path": "data", "mode": "RO" } });
        rows.create(of_disk(&read_only), "created RW");
        let twice = json!({ "volumes": [volume("v"), volume("v")] });
        rows.operate("CREATE", twice, "two volumes of the id");
        rows.create(
            with(volume("v"), &json!({ "shared": {} })),
            "lacks the capability SHARED_RESOURCES",
        );
        let by = |persistence: Value| of_disk(&json!({ "persistence": persistence }));
        rows.create(by(json!({ "id": "v" })), "it is none, but ops creates it");
        rows.create(
            by(json!({ "id": "v", "principal": "other" })),
            "it is other, but ops creates it",
        );
        rows.create(volume("v"), "it needs");

        // DESTROY
        rows.operate(
            "DESTROY",
            json!({ "volumes": [reserved("disk", 1.0)] }),
            "disk: it is not set",
        );
        rows.operate("DESTROY", json!({ "volumes": [volume("v")] }), "the agent has no volume");
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn resizing_volumes_is_judged() -> anyhow::Result<()> {
    check(|rows| {
        let grow =
            |volume: Value, addition: Value| json!({ "volume": volume, "addition": addition });
        let space = || reserved("disk", 1.0);
        rows.operate("GROW_VOLUME", grow(scalar("disk", -1.0), space()), "Invalid resources");
        rows.operate("GROW_VOLUME", grow(volume("v"), scalar("disk", -1.0)), "Invalid resources");
        rows.operate("GROW_VOLUME", grow(volume("v"), reserved("disk", 0.0)), "greater than zero");
        rows.operate("GROW_VOLUME", grow(space(), space()), "volume.disk: it is not set");
        let shared = || with(volume("v"), &json!({ "shared": {} }));
        rows.operate("GROW_VOLUME", grow(shared(), space()), "a shared volume cannot grow");
        rows.operate("GROW_VOLUME", grow(volume("v"), scalar("disk", 1.0)), "not of the same disk");
        let mounted =
            || of_disk(&json!({ "source": { "type": "MOUNT", "mount": { "root": "/a" } } }));
        rows.operate("GROW_VOLUME", grow(mounted(), source("MOUNT")), "not of the same disk");
        rows.operate("GROW_VOLUME", grow(volume("v"), space()), "it needs");
        let shrink =
            |volume: Value, by: f64| json!({ "volume": volume, "subtract": { "value": by } });
        rows.operate("SHRINK_VOLUME", shrink(scalar("disk", -1.0), 1.0), "Invalid resources");
        rows.operate("SHRINK_VOLUME", shrink(volume("v"), 0.0), "greater than zero");
        rows.operate("SHRINK_VOLUME", shrink(volume("v"), 64.0), "less than the 64");
        rows.operate("SHRINK_VOLUME", shrink(mounted(), 1.0), "a MOUNT disk cannot shrink");
        rows.operate(
            "SHRINK_VOLUME",
            shrink(reserved("disk", 2.0), 1.0),
            "volume.disk: it is not set",
        );
        rows.operate("SHRINK_VOLUME", shrink(shared(), 1.0), "a shared volume cannot shrink");
        rows.operate("SHRINK_VOLUME", shrink(volume("v"), 1.0), "it needs");
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_resource_provider_makes_disks() -> anyhow::Result<()> {
    check(|rows| {
        let make =
            |one: Value| json!({ "source": one, "target_type": "MOUNT", "target_profile": "fast" });
        let unmanaged = "'source' is not managed by a resource provider";
        rows.operate("CREATE_DISK", make(scalar("disk", -1.0)), "Invalid resources");
        rows.operate("CREATE_DISK", make(source("RAW")), unmanaged);
        rows.operate(
            "DESTROY_DISK",
            json!({ "source": scalar("disk", -1.0) }),
            "Invalid resources",
        );
        rows.operate("DESTROY_DISK", json!({ "source": source("MOUNT") }), unmanaged);
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_is_there_is_judged_with_the_others() -> anyhow::Result<()> {
    check(|rows| {
        rows.operate("RESERVE", json!({ "resources": [reserved("disk", 128.0)] }), "");
        rows.create(volume("v"), "");
        rows.create(volume("v"), "two volumes of the id");
        rows.launch(json!({ "resources": [scalar("cpus", 0.1), volume("v")] }), "");
        rows.operate("DESTROY", json!({ "volumes": [volume("v")] }), "is in use");
        let again = json!({ "resources": [scalar("cpus", 0.1), volume("v")] });
        rows.launch(again, "the task needs");
    })
    .await
}
