//! Lists as tables. On narrow screens the columns that matter less are left out; everything in them is on
//! the page of the item too.

use maud::{Markup, html};

/// A column.
#[derive(Clone, Copy)]
pub(crate) struct Column {
    name: &'static str,
    is_minor: bool,
}

/// A column that is always there.
pub(crate) const fn column(name: &'static str) -> Column {
    Column { name, is_minor: false }
}

/// One that narrow screens leave out.
pub(crate) const fn minor(name: &'static str) -> Column {
    Column { name, is_minor: true }
}

/// Rows under their columns. The first cell of a row names it.
pub(crate) fn table<const N: usize>(
    caption: &str,
    columns: [Column; N],
    rows: impl IntoIterator<Item = [Markup; N]>,
) -> Markup {
    html! {
        table {
            caption.sr { (caption) }
            thead { tr { @for column in &columns { th scope="col" class=[minor_class(*column)] { (column.name) } } } }
            tbody {
                @for row in rows {
                    tr {
                        @for (index, cell) in row.iter().enumerate() {
                            @if index == 0 { th scope="row" { (cell) } }
                            @else { td class=[minor_class(columns[index])] { (cell) } }
                        }
                    }
                }
            }
        }
    }
}

fn minor_class(column: Column) -> Option<&'static str> {
    column.is_minor.then_some("minor")
}
