//! One server: who tried which of its users.
use super::Settings;
use super::alert::{Alert, EventIds, Kind, time};
use crate::sdk::Text;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// An answer to a REGISTER.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    pub(super) server: IpAddr,
    pub(super) server_port: u16,
    pub(super) client: IpAddr,
    pub(super) client_port: u16,
    /// 200 and not 401.
    pub(super) is_login: bool,
    pub(super) user: &'a [u8],
    pub(super) domain: &'a [u8],
    /// Unix time.
    pub(super) secs: u64,
    pub(super) protocol: u8,
    pub(super) link: u64,
}

/// Users and clients of one server. Both have the pairs of them that are watched; a pair lies with its user.
#[derive(Debug)]
pub(super) struct Server {
    address: IpAddr,
    port: u16,
    /// Of the first message; it is that of all users.
    domain: Box<[u8]>,
    users: HashMap<Arc<[u8]>, User>,
    clients: HashMap<IpAddr, Client>,
}

#[derive(Debug, Default)]
struct User {
    /// As many as make a distributed attack, at the most. What goes is replaced by the last one: the first one names the attack.
    pairs: Vec<Pair>,
    attack: Option<Distributed>,
}

#[derive(Debug)]
struct Client {
    port: u16,
    /// Users of its pairs; as many as make a scan, at the most.
    users: Vec<Arc<[u8]>>,
    scan: Option<Scan>,
}

/// Attempts of one client at one user.
#[derive(Debug)]
struct Pair {
    client: IpAddr,
    attempts: u64,
    first: u64,
    last: u64,
    /// 0: no login.
    breach: u64,
    logins: u32,
    protocol: u8,
    link: u64,
}

#[derive(Debug)]
struct Distributed {
    breacher: Option<IpAddr>,
    breach: u64,
    last: u64,
    /// Attempts of clients that have no pair.
    others: u64,
    logins: u32,
    is_over: bool,
}

#[derive(Debug)]
struct Scan {
    last: u64,
    /// Attempts at users that have no pair.
    others: u64,
    logins: u32,
    is_over: bool,
}

/// What the pairs of an event have together.
struct Sum {
    first: u64,
    attempts: u64,
    average: u64,
    protocol: u8,
    link: u64,
}

impl Server {
    pub(super) fn new(first: &Message<'_>) -> Server {
        let (users, clients) = (HashMap::new(), HashMap::new());
        Server { address: first.server, port: first.server_port, domain: first.domain.into(), users, clients }
    }

    /// Users and clients.
    pub(super) fn parties(&self) -> usize {
        self.users.len() + self.clients.len()
    }

    /// Takes a message and answers how many parties are new.
    pub(super) fn take(&mut self, settings: &Settings, message: &Message<'_>) -> usize {
        let before = self.parties();
        let is_scan = self.clients.get(&message.client).is_some_and(|client| client.scan.is_some());
        let is_attack = self.users.get(message.user).is_some_and(|user| user.attack.is_some());
        if is_scan {
            self.update_scan(settings, message);
        }
        if is_attack {
            self.update_attack(settings, message);
        }
        if !is_scan && !is_attack {
            self.update_pair(settings, message);
        }
        self.parties() - before
    }

    fn update_scan(&mut self, settings: &Settings, message: &Message<'_>) {
        let pair = self.users.get_mut(message.user).and_then(|user| user.pair(message.client));
        let Some(scan) = self.clients.get_mut(&message.client).and_then(|client| client.scan.as_mut()) else { return };
        if scan.is_over {
            return;
        }
        if message.is_login {
            scan.logins += 1;
            scan.is_over = scan.logins > settings.logins;
        }
        match pair {
            Some(pair) => {
                if message.is_login && pair.breach == 0 {
                    pair.breach = message.secs;
                }
                pair.add(message.secs);
            }
            None => scan.others += 1,
        }
        scan.last = scan.last.max(message.secs);
    }

    fn update_attack(&mut self, settings: &Settings, message: &Message<'_>) {
        let Some(user) = self.users.get_mut(message.user) else { return };
        let User { pairs, attack: Some(attack) } = user else { return };
        if attack.is_over {
            return;
        }
        if message.is_login {
            attack.breach = message.secs;
            attack.logins += 1;
            match attack.breacher {
                None => attack.breacher = Some(message.client),
                Some(_) => attack.is_over |= attack.logins > settings.logins,
            }
        }
        match pairs.iter_mut().find(|pair| pair.client == message.client) {
            Some(pair) => pair.add(message.secs),
            None => attack.others += 1,
        }
        attack.last = attack.last.max(message.secs);
    }

    fn update_pair(&mut self, settings: &Settings, message: &Message<'_>) {
        let client = self.clients.entry(message.client).or_insert_with(|| Client::new(message.client_port));
        let name: Arc<[u8]> = match self.users.get_key_value(message.user) {
            Some((name, _)) => Arc::clone(name),
            None => message.user.into(),
        };
        let user = self.users.entry(Arc::clone(&name)).or_default();
        let known = user.pairs.iter().position(|pair| pair.client == message.client);
        if message.is_login {
            let Some(at) = known else { return };
            let pair = &mut user.pairs[at];
            let goes = if pair.breach != 0 {
                pair.logins += 1;
                pair.last = pair.last.max(message.secs);
                pair.logins > settings.logins
            } else if pair.attempts >= settings.attempts {
                pair.add(message.secs);
                pair.breach = message.secs;
                pair.logins += 1;
                false
            } else {
                // The user had forgotten the password.
                true
            };
            if goes {
                user.pairs.swap_remove(at);
                client.remove(&name);
            }
            return;
        }
        match known {
            Some(at) => user.pairs[at].add(message.secs),
            None => {
                user.pairs.push(Pair::new(message));
                client.users.push(name);
                if client.users.len() >= settings.users as usize {
                    client.scan = Some(Scan { last: message.secs, others: 0, logins: 0, is_over: false });
                }
                if user.pairs.len() >= settings.clients as usize {
                    user.attack = Some(Distributed::new(message.secs));
                }
            }
        }
    }

    /// Sends what has been silent for long enough, and forgets it.
    pub(super) fn evaluate(&mut self, now: u64, settings: &Settings, ids: &mut EventIds, alerts: &mut Vec<Alert>) {
        let is_idle = |last: u64| now.saturating_sub(last) > settings.idle;
        self.send_scans(|scan| is_idle(scan.last), ids, alerts);
        for client in self.clients.values_mut() {
            if let Some(scan) = client.scan.as_mut().filter(|scan| is_idle(scan.last)) {
                scan.is_over = true;
            }
        }
        for name in self.names() {
            // Taken out, so that clients can be changed meanwhile.
            let Some(mut user) = self.users.remove(&name) else { continue };
            self.evaluate_user(&name, &mut user, now, settings, ids, alerts);
            if !user.pairs.is_empty() {
                self.users.insert(name, user);
            }
        }
        self.clients.retain(|_, client| !client.users.is_empty());
    }

    fn evaluate_user(
        &mut self,
        name: &Arc<[u8]>,
        user: &mut User,
        now: u64,
        settings: &Settings,
        ids: &mut EventIds,
        alerts: &mut Vec<Alert>,
    ) {
        let is_idle = |last: u64| now.saturating_sub(last) > settings.idle;
        if let Some(attack) = user.attack.as_mut().filter(|attack| !attack.is_over && is_idle(attack.last)) {
            attack.is_over = true;
            alerts.extend(self.attack_alert(name, user, ids));
        }
        let is_over = user.attack.as_ref().map(|attack| attack.is_over);
        if is_over == Some(false) {
            return;
        }
        let (mut at, before) = (0, user.pairs.len());
        while let Some(pair) = user.pairs.get(at) {
            let scan = self.clients.get(&pair.client).and_then(|client| client.scan.as_ref());
            let goes = match (scan, is_over) {
                // A scan that goes on needs its pairs.
                (Some(scan), _) => scan.is_over,
                (None, Some(_)) => true,
                (None, None) if pair.logins > settings.logins => true,
                (None, None) if is_idle(pair.last) => {
                    if pair.attempts >= settings.attempts {
                        alerts.push(self.pair_alert(name, pair, ids));
                    }
                    true
                }
                (None, None) => false,
            };
            if !goes {
                at += 1;
                continue;
            }
            let pair = user.pairs.swap_remove(at);
            if let Some(client) = self.clients.get_mut(&pair.client) {
                client.remove(name);
            }
        }
        if user.pairs.len() < before {
            user.attack = user.attack.take().filter(|attack| !attack.is_over);
        }
    }

    /// Sends all events and forgets all.
    pub(super) fn end(&mut self, settings: &Settings, ids: &mut EventIds, alerts: &mut Vec<Alert>) {
        self.send_scans(|_| true, ids, alerts);
        for name in &self.names() {
            let Some(user) = self.users.get(name) else { continue };
            match &user.attack {
                Some(attack) if attack.is_over => {}
                Some(_) => alerts.extend(self.attack_alert(name, user, ids)),
                None => {
                    let is_scanned =
                        |pair: &Pair| self.clients.get(&pair.client).is_some_and(|client| client.scan.is_some());
                    let is_event = |pair: &&Pair| {
                        pair.attempts >= settings.attempts && !is_scanned(pair) && pair.logins <= settings.logins
                    };
                    alerts.extend(user.pairs.iter().filter(is_event).map(|pair| self.pair_alert(name, pair, ids)));
                }
            }
        }
        self.users.clear();
        self.clients.clear();
    }

    /// Names of users in their order, which is that of alerts.
    fn names(&self) -> Vec<Arc<[u8]>> {
        let mut names: Vec<_> = self.users.keys().map(Arc::clone).collect();
        names.sort_unstable();
        names
    }

    /// Sends scans that are not over and of which `is_due` says so, in the order of addresses.
    fn send_scans(&self, is_due: impl Fn(&Scan) -> bool, ids: &mut EventIds, alerts: &mut Vec<Alert>) {
        let scan = |client: &'_ Client| client.scan.as_ref().is_some_and(|scan| !scan.is_over && is_due(scan));
        let mut due: Vec<_> = self.clients.iter().filter(|(_, client)| scan(client)).collect();
        due.sort_unstable_by_key(|(address, _)| **address);
        for (address, client) in due {
            alerts.extend(client.scan.as_ref().and_then(|scan| self.scan_alert(*address, client, scan, ids)));
        }
    }

    fn pair_alert(&self, name: &[u8], pair: &Pair, ids: &mut EventIds) -> Alert {
        Alert {
            source: pair.client,
            breach: time(pair.breach),
            cease: time(pair.last),
            client_port: self.clients.get(&pair.client).map_or(0, |client| client.port),
            user: self.user_text(name),
            ..self.alert(Kind::Plain, &Sum::of([pair].into_iter()), 0, ids)
        }
    }

    fn attack_alert(&self, name: &[u8], user: &User, ids: &mut EventIds) -> Option<Alert> {
        let (attack, first) = (user.attack.as_ref()?, user.pairs.first()?);
        Some(Alert {
            source: attack.breacher.unwrap_or(first.client),
            breach: time(attack.breacher.map_or(0, |_| attack.breach)),
            cease: time(attack.last),
            user: self.user_text(name),
            ..self.alert(Kind::Distributed, &Sum::of(user.pairs.iter()), attack.others, ids)
        })
    }

    fn scan_alert(&self, address: IpAddr, client: &Client, scan: &Scan, ids: &mut EventIds) -> Option<Alert> {
        let pairs = client.users.iter().filter_map(|name| {
            let user = self.users.get(name)?;
            user.pairs.iter().find(|pair| pair.client == address)
        });
        let mut pairs = pairs.peekable();
        pairs.peek()?;
        Some(Alert {
            source: address,
            cease: time(scan.last),
            client_port: client.port,
            ..self.alert(Kind::Scan, &Sum::of(pairs), scan.others, ids)
        })
    }

    fn alert(&self, kind: Kind, sum: &Sum, others: u64, ids: &mut EventIds) -> Alert {
        Alert {
            target: self.address,
            server_port: self.port,
            id: ids.next(sum.first),
            first: time(sum.first),
            link: sum.link,
            attempts: u32::try_from(sum.attempts + others).unwrap_or(u32::MAX),
            average: u32::try_from(sum.average).unwrap_or(u32::MAX),
            kind: kind as u8,
            protocol: sum.protocol,
            ..Alert::default()
        }
    }

    fn user_text(&self, name: &[u8]) -> Text<160> {
        let mut text = Text::default();
        for part in [name, b"@", &self.domain] {
            text.push(part);
        }
        text
    }
}

impl User {
    fn pair(&mut self, client: IpAddr) -> Option<&mut Pair> {
        self.pairs.iter_mut().find(|pair| pair.client == client)
    }
}

impl Client {
    fn new(port: u16) -> Client {
        Client { port, users: Vec::new(), scan: None }
    }

    fn remove(&mut self, name: &[u8]) {
        if let Some(at) = self.users.iter().position(|known| **known == *name) {
            self.users.swap_remove(at);
        }
    }
}

impl Pair {
    fn new(first: &Message<'_>) -> Pair {
        let Message { client, secs, protocol, link, .. } = *first;
        Pair { client, attempts: 1, first: secs, last: secs, breach: 0, logins: 0, protocol, link }
    }

    fn add(&mut self, secs: u64) {
        self.attempts += 1;
        self.last = self.last.max(secs);
    }
}

impl Distributed {
    fn new(secs: u64) -> Distributed {
        Distributed { breacher: None, breach: 0, last: secs, others: 0, logins: 0, is_over: false }
    }
}

impl Sum {
    fn of<'p>(pairs: impl Iterator<Item = &'p Pair>) -> Sum {
        let mut sum = Sum { first: 0, attempts: 0, average: 0, protocol: 0, link: 0 };
        let mut count = 0;
        for pair in pairs {
            if count == 0 {
                sum = Sum { first: pair.first, protocol: pair.protocol, link: pair.link, ..sum };
            }
            sum.first = sum.first.min(pair.first);
            sum.attempts += pair.attempts;
            count += 1;
        }
        sum.average = sum.attempts / count.max(1);
        sum
    }
}
