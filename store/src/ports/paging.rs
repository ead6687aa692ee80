//! Pages of short lists, in memory: what people set up by hand.

use api::ports::{Cursor, Order, Page, PageRequest};

/// The page of items that come sorted by rising id.
pub(crate) fn by_id<I, T>(items: Vec<T>, request: &PageRequest<I>, id: impl Fn(&T) -> I) -> Page<T>
where
    I: Ord + Copy,
{
    let mut listed = items;
    if request.order == Order::Descending {
        listed.reverse();
    }
    // Whether an item comes before a cursor in the order of the list. The cursor itself need not be
    // there any more: ids say when they were made.
    let before = |item: &T, cursor: I| match request.order {
        Order::Ascending => id(item) < cursor,
        Order::Descending => id(item) > cursor,
    };
    let limit = request.limit as usize;
    let (begin, end) = match request.cursor {
        None => (0, limit),
        Some(Cursor::After(cursor)) => {
            let begin = listed.partition_point(|item| before(item, cursor) || id(item) == cursor);
            (begin, begin + limit)
        }
        Some(Cursor::Before(cursor)) => {
            let end = listed.partition_point(|item| before(item, cursor));
            (end.saturating_sub(limit), end)
        }
    };
    let end = end.min(listed.len());
    let has_after = end < listed.len();
    let items: Vec<T> = listed.into_iter().take(end).skip(begin).collect();
    Page { items, has_before: begin > 0, has_after }
}

/// What lies on either side of the cursor of a page, the nearest first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sides<I> {
    /// Where the page is filled from.
    pub(crate) ahead: Vec<I>,
    /// What the page goes on from.
    pub(crate) behind: Vec<I>,
}

/// Parts ids that rise. Nothing has been looked up yet: a page of a long list looks up what it shows.
pub(crate) fn sides<I: Ord + Copy>(ids: Vec<I>, request: &PageRequest<I>) -> Sides<I> {
    let mut falling = ids;
    falling.reverse();
    let rises = is_rising(request);
    let cursor = match request.cursor {
        None => None,
        Some(Cursor::After(cursor) | Cursor::Before(cursor)) => Some(cursor),
    };
    let is_ahead = |id: &I| match cursor {
        None => true,
        Some(cursor) if rises => *id > cursor,
        Some(cursor) => *id < cursor,
    };
    let (mut ahead, mut behind): (Vec<I>, Vec<I>) = falling.into_iter().partition(is_ahead);
    if rises {
        ahead.reverse();
    } else {
        behind.reverse();
    }
    Sides { ahead, behind }
}

/// Whether a page is filled in the order of rising ids.
pub(crate) fn is_rising<I>(request: &PageRequest<I>) -> bool {
    let goes_back = matches!(request.cursor, Some(Cursor::Before(_)));
    (request.order == Order::Ascending) != goes_back
}

/// The page of what was found ahead of its cursor, up to one more than it holds.
pub(crate) fn filled<I, T>(
    ahead: Vec<T>,
    is_any_behind: bool,
    request: &PageRequest<I>,
) -> Page<T> {
    let mut items = ahead;
    let is_more = items.len() > request.limit as usize;
    items.truncate(request.limit as usize);
    match request.cursor {
        None => Page { items, has_before: false, has_after: is_more },
        Some(Cursor::After(_)) => Page { items, has_before: is_any_behind, has_after: is_more },
        Some(Cursor::Before(_)) => {
            items.reverse();
            Page { items, has_before: is_more, has_after: is_any_behind }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::ports::Reach;
    use proptest::prelude::*;

    fn page(order: Order, cursor: Option<Cursor<u32>>) -> (Vec<u32>, bool, bool) {
        let request = PageRequest { reach: Reach::Everything, limit: 2, order, cursor };
        let page = by_id(vec![1, 2, 4, 5], &request, |item| *item);
        (page.items, page.has_before, page.has_after)
    }

    #[test]
    fn pages_follow_the_order_of_the_list_in_both_directions() {
        use Order::{Ascending, Descending};
        assert_eq!(page(Ascending, None), (vec![1, 2], false, true));
        assert_eq!(page(Ascending, Some(Cursor::After(2))), (vec![4, 5], true, false));
        assert_eq!(page(Descending, None), (vec![5, 4], false, true));
        assert_eq!(page(Descending, Some(Cursor::Before(1))), (vec![4, 2], true, true));
    }

    proptest! {
        #[test]
        fn a_page_is_the_same_whether_all_is_looked_up_or_what_it_shows(
            ids in prop::collection::btree_set(0_u32..40, 0..20),
            limit in 1_u32..6,
            cursor in prop::option::of((any::<bool>(), 0_u32..40)),
            falls: bool,
        ) {
            let cursor = cursor.map(|(after, at)| if after { Cursor::After(at) } else { Cursor::Before(at) });
            let order = if falls { Order::Descending } else { Order::Ascending };
            let request = PageRequest { reach: Reach::Everything, limit, order, cursor };
            let ids: Vec<u32> = ids.into_iter().collect();
            let expected = by_id(ids.clone(), &request, |id| *id);
            let Sides { ahead, behind } = sides(ids, &request);
            let ahead = ahead.into_iter().take(limit as usize + 1).collect();
            let page = filled(ahead, !behind.is_empty(), &request);
            prop_assert_eq!(page.items, expected.items);
            prop_assert_eq!(page.has_before, expected.has_before);
            prop_assert_eq!(page.has_after, expected.has_after);
        }
    }

    #[test]
    fn a_cursor_whose_item_is_gone_stands_where_it_stood() {
        assert_eq!(page(Order::Ascending, Some(Cursor::After(3))), (vec![4, 5], true, false));
        assert_eq!(page(Order::Descending, Some(Cursor::After(3))), (vec![2, 1], true, false));
    }
}
