//! How far a task may go beyond what is set aside for it.

use minicbor::{Decode, Encode};

use crate::resources::Scalar;

/// Where unset, what is set aside is all there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub struct Limits {
    #[n(0)]
    pub cpus: Option<Limit>,
    /// MiB.
    #[n(1)]
    pub mem: Option<Limit>,
}

/// Of parts that share one container, each with what is set aside for it and its own limit: of all of them, if one has any.
pub fn sum(parts: impl Iterator<Item = (Scalar, Option<Limit>)>) -> Option<Limit> {
    let (mut all, mut is_said) = (0_u64, false);
    for (set_aside, limit) in parts {
        is_said |= limit.is_some();
        let Scalar(most) = match limit {
            None => set_aside,
            Some(Limit::Amount(amount)) => amount,
            Some(Limit::Unlimited) => return Some(Limit::Unlimited),
        };
        all = all.saturating_add(most);
    }
    is_said.then_some(Limit::Amount(Scalar(all)))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Limit {
    /// Whatever the agent has to spare.
    #[n(0)]
    Unlimited,
    #[n(1)]
    Amount(#[n(0)] Scalar),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_without_a_limit_adds_what_is_set_aside_for_it() {
        let check = |parts: &[(u64, Option<Limit>)], expected: Option<Limit>| {
            let parts = parts.iter().map(|(set_aside, limit)| (Scalar(*set_aside), *limit));
            assert_eq!(sum(parts), expected);
        };
        let amount = |most: u64| Some(Limit::Amount(Scalar(most)));
        check(&[], None);
        check(&[(1, None), (2, None)], None);
        check(&[(1, None), (2, amount(5))], amount(6));
        check(&[(1, amount(2)), (2, Some(Limit::Unlimited))], Some(Limit::Unlimited));
    }
}
