//! What a guide is: data, one file a provider under `guides/`. How it looks is the business of `guide_page`.
//!
//! In texts, `*…*` is what stands on a page of the provider, and a pair of backticks holds what is typed as it is.

mod text;

use std::time::Duration;

use schemas::wire::DirectoryType;

use super::guides;
use super::steps::Milestone;

pub(super) use text::written;

/// How a provider is set up.
#[derive(Debug)]
pub(super) struct Guide {
    /// Its name in addresses.
    pub(super) slug: &'static str,
    /// What people call the provider.
    pub(super) name: &'static str,
    /// What a directory of it is.
    pub(super) kind: DirectoryType,
    /// What has to be there before the first step.
    pub(super) needs: &'static str,
    /// From the first page to the last.
    pub(super) steps: &'static [Step],
    /// How often it sends, in words.
    pub(super) rhythm: &'static str,
    /// How long it is silent without anything being wrong.
    pub(super) quiet_max: Duration,
    /// How users get an address there.
    pub(super) mend_emails: &'static str,
    /// How groups get their members there; nothing if it sends no groups.
    pub(super) mend_groups: Option<&'static str>,
    /// How it is had to send again.
    pub(super) mend_silence: &'static str,
    /// What surprises people.
    pub(super) good_to_know: &'static [&'static str],
}

/// A step of a guide.
#[derive(Debug)]
pub(super) struct Step {
    /// What is done.
    pub(super) title: &'static str,
    /// What shows that it was done.
    pub(super) done_when: Milestone,
    /// How it is done.
    pub(super) parts: &'static [Part],
}

/// A part of a step.
#[derive(Debug)]
pub(super) enum Part {
    /// Where to click, one after the other.
    Menu(&'static [&'static str]),
    /// What to do and to know.
    Text(&'static str),
    /// A form of the provider that the endpoint and the token go into.
    Fields(Fields),
    /// What is mapped to what.
    Mappings(&'static [(&'static str, &'static str)]),
}

/// A form of the provider, as far as it is filled in.
#[derive(Debug)]
pub(super) struct Fields {
    /// What it calls the endpoint.
    pub(super) endpoint: &'static str,
    /// What it calls the token.
    pub(super) token: &'static str,
    /// What else is chosen there, before.
    pub(super) choose: &'static [(&'static str, &'static str)],
    /// The button that tries it.
    pub(super) press: &'static str,
}

impl Guide {
    /// What it is called within a sentence.
    pub(super) fn called(&self) -> &'static str {
        if self.slug == guides::ANY { "your identity provider" } else { self.name }
    }

    /// Whether groups arrive from it.
    pub(super) const fn has_groups(&self) -> bool {
        self.mend_groups.is_some()
    }
}

/// The guides that a directory of this type may be set up by; the usual one first.
pub(super) fn guides_for(kind: DirectoryType) -> Vec<&'static Guide> {
    // The one for any client is the last of all, and the usual one of its type.
    guides::ALL.into_iter().rev().filter(|guide| guide.kind == kind).collect()
}

/// The guide of this name.
pub(super) fn named(slug: &str) -> Option<&'static Guide> {
    guides::ALL.into_iter().find(|guide| guide.slug == slug)
}

/// Hours, as a length of time.
pub(super) const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 60 * 60)
}

/// Days, as a length of time.
pub(super) const fn days(days: u64) -> Duration {
    hours(days * 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(guide: &Guide) -> usize {
        let parts = guide.steps.iter().flat_map(|step| step.parts);
        parts.filter(|part| matches!(part, Part::Fields(_))).count()
    }

    fn texts(guide: &'static Guide) -> Vec<&'static str> {
        let mut texts = vec![guide.needs, guide.rhythm, guide.mend_emails, guide.mend_silence];
        texts.extend(guide.mend_groups);
        texts.extend(guide.good_to_know);
        for part in guide.steps.iter().flat_map(|step| step.parts) {
            match part {
                Part::Text(text) => texts.push(text),
                Part::Menu(_) | Part::Fields(_) | Part::Mappings(_) => {}
            }
        }
        texts
    }

    #[test]
    fn every_type_has_a_guide_and_every_guide_its_own_name() {
        for kind in DirectoryType::ALL {
            assert!(!guides_for(kind).is_empty(), "{kind:?}");
        }
        for guide in guides::ALL {
            assert_eq!(named(guide.slug).map(|found| found.name), Some(guide.name));
        }
        assert!(named("no such provider").is_none());
    }

    #[test]
    fn a_guide_asks_for_the_endpoint_and_the_token_once_and_is_short() {
        for guide in guides::ALL {
            assert_eq!(fields(guide), 1, "{}", guide.name);
            assert!((3..=7).contains(&guide.steps.len()), "{}", guide.name);
        }
    }

    #[test]
    fn the_steps_of_a_guide_are_done_in_their_order() {
        for guide in guides::ALL {
            let order: Vec<_> = guide.steps.iter().map(|step| step.done_when).collect();
            assert!(order.is_sorted(), "{}: {order:?}", guide.name);
            assert_eq!(order.first(), Some(&Milestone::Connected), "{}", guide.name);
            let has_groups =
                order.contains(&Milestone::Groups) || order.contains(&Milestone::Members);
            assert_eq!(has_groups, guide.has_groups(), "{}", guide.name);
        }
    }

    #[test]
    fn what_is_marked_in_a_text_ends_there() {
        for guide in guides::ALL {
            for text in texts(guide) {
                assert_eq!(text.matches('`').count() % 2, 0, "{}: {text}", guide.name);
                for plain in text.split('`').step_by(2) {
                    assert_eq!(plain.matches('*').count() % 2, 0, "{}: {text}", guide.name);
                }
            }
        }
    }
}
