//! A browser without scripts, and what it is shown.

use reqwest::redirect::Policy;
use tests::Server;
use tests::server::eventually;

/// A browser without scripts: it keeps the cookies of one site, and goes where it is told.
pub(crate) struct Browser {
    http: reqwest::Client,
    base: String,
    host: String,
    pub(super) cookie: Option<String>,
}

/// A page.
pub(crate) struct Shown {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

/// A form on a page: where it leads, and what it sends by itself.
#[derive(Clone)]
pub(crate) struct Form {
    pub(crate) action: String,
    pub(crate) fields: Vec<(String, String)>,
}

impl Form {
    /// The same with a field filled in.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same, sent elsewhere.
    pub(super) fn to(mut self, action: &str) -> Self {
        action.clone_into(&mut self.action);
        self
    }
}

impl Browser {
    pub(crate) fn new(server: &Server) -> Self {
        let _ = tests::server::http_client();
        let http = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        let base = server.base().to_owned();
        let host = base.strip_prefix("http://").unwrap().to_owned();
        Self { http, base, host, cookie: None }
    }

    /// The same browser, at the host name of a customer.
    pub(super) fn at(&self, host: &str) -> Self {
        let (http, base) = (self.http.clone(), self.base.clone());
        Self { http, base, host: host.to_owned(), cookie: self.cookie.clone() }
    }

    pub(super) async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Shown {
        self.send_body(method, path, headers, None).await
    }

    async fn send_body(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Shown {
        let url = format!("{}{path}", self.base);
        let mut request = self.http.request(method.parse().unwrap(), url);
        request = request.header("host", &self.host);
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", format!("other=1; {cookie}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request =
                request.header("content-type", "application/x-www-form-urlencoded").body(body);
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        if let Some(set) = headers.get("set-cookie") {
            let set = set.to_str().unwrap();
            self.cookie = set.split(';').next().map(str::to_owned);
        }
        Shown { status, headers, text: answer.text().await.unwrap() }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Shown {
        self.send("GET", path, &[]).await
    }

    /// Presses the button of a link, which has no session and so no fields.
    pub(crate) async fn press(&mut self, path: &str) -> Shown {
        self.submit(&Form { action: path.to_owned(), fields: Vec::new() }).await
    }

    /// Sends a form and goes where it leads.
    pub(crate) async fn submit(&mut self, form: &Form) -> Shown {
        let mut body = String::new();
        for (name, value) in &form.fields {
            let value: String = value.bytes().map(|byte| format!("%{byte:02x}")).collect();
            body += &format!("{name}={value}&");
        }
        let from_here = [("sec-fetch-site", "same-origin")];
        let shown = self.send_body("POST", &form.action, &from_here, Some(body)).await;
        match shown.headers.get("location") {
            Some(next) if shown.status == 303 => {
                let next = next.to_str().unwrap().to_owned();
                self.get(&next).await
            }
            Some(_) | None => shown,
        }
    }
}

impl Shown {
    pub(super) fn expect(&self, status: u16, words: &str) {
        assert_eq!(self.status, status, "{}", self.text);
        assert!(self.text.contains(words), "{words} is not in {}", self.text);
    }

    /// The form that has this button.
    pub(crate) fn form(&self, button: &str) -> Form {
        let end = self.text.find(&format!(">{button}<")).unwrap_or_else(|| {
            panic!("{button} is not in {}", self.text);
        });
        let begin = self.text[..end].rfind("<form").expect("a button stands in a form");
        let form = &self.text[begin..end];
        let attribute = |text: &str, name: &str| {
            let from = text.split_once(&format!("{name}=\""))?.1;
            Some(from.split_once('"')?.0.replace("&amp;", "&"))
        };
        let action = attribute(form, "action").unwrap_or_default();
        let hidden = form.split("<input").filter(|input| input.contains("type=\"hidden\""));
        let fields = hidden
            .filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value")?)));
        let action = action.split('#').next().unwrap_or_default().to_owned();
        Form { action, fields: fields.collect() }
    }

    /// The text of the element with this id.
    pub(super) fn text_of(&self, id: &str) -> String {
        let from = self.text.split_once(&format!("id=\"{id}\"")).expect("it is there").1;
        let from = from.split_once('>').expect("a tag ends").1;
        from.split('<').next().unwrap().to_owned()
    }
}

/// What a browser does that loads a page again until it says something.
pub(super) async fn until(server: &Server, cookie: &Browser, path: &str, words: &str) -> Shown {
    eventually(words, || async {
        let mut browser = Browser { cookie: cookie.cookie.clone(), ..Browser::new(server) };
        Some(browser.get(path).await).filter(|shown| shown.text.contains(words))
    })
    .await
}
