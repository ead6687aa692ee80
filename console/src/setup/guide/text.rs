//! Texts of guides, with what stands on pages of the provider set apart.

use maud::{Markup, html};

/// A text as markup.
pub(in crate::setup) fn written(text: &str) -> Markup {
    html! {
        @for (index, part) in text.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } }
            @else {
                @for (index, part) in part.split('*').enumerate() {
                    @if index % 2 == 1 { strong.ui { (part) } } @else { (part) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_marked_is_set_apart_and_all_of_it_is_text() {
        assert_eq!(
            written("Map `a[b eq \"*\"]` under *Mappings*, <not> here.").into_string(),
            "Map <code>a[b eq &quot;*&quot;]</code> under <strong class=\"ui\">Mappings</strong>, \
             &lt;not&gt; here."
        );
    }
}
