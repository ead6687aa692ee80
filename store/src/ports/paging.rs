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

#[cfg(test)]
mod tests {
    use super::*;
    use api::ports::Reach;

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

    #[test]
    fn a_cursor_whose_item_is_gone_stands_where_it_stood() {
        assert_eq!(page(Order::Ascending, Some(Cursor::After(3))), (vec![4, 5], true, false));
        assert_eq!(page(Order::Descending, Some(Cursor::After(3))), (vec![2, 1], true, false));
    }
}
