//! `--agents N`: the machine's resources in N equal shares.

use anyhow::{Result, bail};
use model::resources::{Amount, Ranges, Resource, ResourceName, Resources, Scalar};

/// What one agent needs to be of use: a cpu is shared in thousandths, ports one by one.
pub(crate) fn split(whole: &Resources, agents: u16) -> Result<Vec<Resources>> {
    (0..agents).map(|number| share(whole, number, agents)).collect()
}

fn share(whole: &Resources, number: u16, agents: u16) -> Result<Resources> {
    let mut share = Vec::new();
    for resource in whole.iter() {
        let amount = match &resource.amount {
            Amount::Scalar(scalar) if resource.name == ResourceName::Gpus => {
                Amount::Scalar(devices(*scalar, number, agents))
            }
            Amount::Scalar(scalar) => Amount::Scalar(Scalar(scalar.0 / u64::from(agents))),
            Amount::Ranges(ranges) => Amount::Ranges(part(ranges, number, agents)),
            Amount::Set(set) => {
                let every = usize::from(agents);
                Amount::Set(set.iter().skip(usize::from(number)).step_by(every).cloned().collect())
            }
        };
        share.push(Resource { amount, ..resource.clone() });
    }
    let share = Resources::new(share);
    if share.cpus().is_zero() || share.mem().is_zero() {
        bail!("{whole} cannot be shared by {agents} agents: each needs cpus and mem");
    }
    Ok(share)
}

/// Devices are whole: the first agents have one more.
fn devices(Scalar(thousandths): Scalar, number: u16, agents: u16) -> Scalar {
    let (whole, number, agents) = (thousandths / 1000, u64::from(number), u64::from(agents));
    Scalar::whole(whole / agents + u64::from(number < whole % agents))
}

/// An equal part of the values, in their order.
fn part(ranges: &Ranges, number: u16, agents: u16) -> Ranges {
    let (number, agents, count) = (u64::from(number), u64::from(agents), ranges.count());
    let (mut skip, until) = (count * number / agents, count * (number + 1) / agents);
    let mut take = until - skip;
    let mut part = Vec::new();
    for (begin, end) in ranges.intervals().iter().copied() {
        let length = end - begin + 1;
        let skipped = skip.min(length);
        let taken = take.min(length - skipped);
        if taken > 0 {
            part.push((begin + skipped, begin + skipped + taken - 1));
        }
        skip -= skipped;
        take -= taken;
    }
    Ranges::new(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(whole: &str, agents: u16, expected: &[&str]) {
        let read = |text: &str| text.parse::<Resources>().expect("resources");
        let shares = split(&read(whole), agents).expect("enough for all");
        assert_eq!(shares, expected.iter().map(|text| read(text)).collect::<Vec<_>>(), "{whole}");
    }

    #[test]
    fn shares_are_equal_and_no_port_is_given_twice() {
        let all = "cpus:4;mem:8192;ports:[31000-31009]";
        check(all, 1, &[all]);
        check(
            all,
            2,
            &["cpus:2;mem:4096;ports:[31000-31004]", "cpus:2;mem:4096;ports:[31005-31009]"],
        );
        check("cpus:2;mem:2;gpus:3", 2, &["cpus:1;mem:1;gpus:2", "cpus:1;mem:1;gpus:1"]);
        check(
            "cpus:3;mem:3;ports:[1-2,5-8]",
            3,
            &["cpus:1;mem:1;ports:[1-2]", "cpus:1;mem:1;ports:[5-6]", "cpus:1;mem:1;ports:[7-8]"],
        );
    }

    #[test]
    fn a_share_of_nothing_is_refused() {
        let whole: Resources = "cpus:0.01;mem:100".parse().expect("resources");
        let error = split(&whole, 20).expect_err("a thousandth is the least").to_string();
        assert!(error.contains("20 agents"), "{error}");
    }
}
