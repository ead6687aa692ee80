//! `application/x-www-form-urlencoded` in UTF-8, read strictly: what is broken is refused, not guessed.

/// A name or a value. `+` is a space: Entra ID writes filters so.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from(high * 16 + low).expect("two digits make a byte")
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// The names and values of a whole form, in its order.
pub(crate) fn pairs(form: &str) -> impl Iterator<Item = Option<(String, String)>> {
    form.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        decode(name).zip(decode(value))
    })
}
