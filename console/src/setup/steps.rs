//! How far a connection has come: what was stored of it, made into milestones and the steps of a guide.

use super::facts::Facts;

/// What is seen here when somebody does something there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Milestone {
    /// The identity provider was let in, as by a test of its connection.
    Connected,
    /// A user is here.
    Users,
    /// A group is here.
    Groups,
    /// A group has a member.
    Members,
}

/// Where something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It was seen.
    Done,
    /// It is what comes next.
    Next,
    /// Something else comes before.
    Later,
}

impl Milestone {
    /// Whether it was seen.
    pub(super) const fn is_reached(self, facts: &Facts) -> bool {
        match self {
            Self::Connected => facts.is_connected,
            Self::Users => facts.users > 0 || facts.ever.users,
            Self::Groups => facts.groups > 0 || facts.ever.groups,
            Self::Members => facts.memberships > 0 || facts.ever.members,
        }
    }
}

/// Where each of them stands: the first that was not seen is next.
pub(super) fn standings(facts: &Facts, milestones: &[Milestone]) -> Vec<Standing> {
    let mut has_next = false;
    let standing = |milestone: &Milestone| {
        if milestone.is_reached(facts) {
            return Standing::Done;
        }
        if std::mem::replace(&mut has_next, true) { Standing::Later } else { Standing::Next }
    };
    milestones.iter().map(standing).collect()
}

#[cfg(test)]
mod tests {
    use super::super::facts::Ever;
    use super::Milestone::{Connected, Groups, Members, Users};
    use super::Standing::{Done, Later, Next};
    use super::*;

    const GUIDE: [Milestone; 6] = [Connected, Connected, Users, Users, Groups, Members];

    fn facts(is_connected: bool, users: u64, groups: u64, memberships: u64) -> Facts {
        Facts { is_connected, users, groups, memberships, ..Facts::default() }
    }

    #[test]
    fn given_nothing_when_it_is_looked_at_then_the_first_step_is_next() {
        let standings = standings(&facts(false, 0, 0, 0), &GUIDE);
        assert_eq!(standings, [Next, Later, Later, Later, Later, Later]);
    }

    #[test]
    fn given_a_test_of_the_connection_then_what_led_to_it_is_done() {
        let standings = standings(&facts(true, 0, 0, 0), &GUIDE);
        assert_eq!(standings, [Done, Done, Next, Later, Later, Later]);
    }

    #[test]
    fn given_a_user_who_was_here_and_went_then_the_step_stays_done() {
        let ever = Ever { users: true, ..Ever::default() };
        let standings = standings(&Facts { ever, ..facts(true, 0, 0, 0) }, &GUIDE);
        assert_eq!(standings, [Done, Done, Done, Done, Next, Later]);
    }

    #[test]
    fn given_a_first_user_then_groups_are_next() {
        let standings = standings(&facts(true, 1, 0, 0), &GUIDE);
        assert_eq!(standings, [Done, Done, Done, Done, Next, Later]);
    }

    #[test]
    fn given_groups_before_any_user_then_each_step_says_what_was_seen() {
        let standings = standings(&facts(true, 0, 2, 0), &GUIDE);
        assert_eq!(standings, [Done, Done, Next, Later, Done, Later]);
    }

    #[test]
    fn given_members_then_all_is_done() {
        assert_eq!(standings(&facts(true, 3, 1, 2), &GUIDE), [Done; 6]);
    }

    #[test]
    fn one_step_is_next_unless_all_are_done() {
        for number in 0..2 * 3 * 3 * 3 {
            let facts = facts(number % 2 == 1, number / 2 % 3, number / 6 % 3, number / 18);
            let standings = standings(&facts, &GUIDE);
            let next = standings.iter().filter(|standing| **standing == Next).count();
            let all_done = standings.iter().all(|standing| *standing == Done);
            assert_eq!(next, usize::from(!all_done), "{facts:?}");
        }
    }
}
