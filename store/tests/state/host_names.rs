//! The port on host names, and where they meet the ports that let somebody in.

use api::ports::{
    Conflict, Directories, HOST_NAMES_MAX, Host, HostFilter, HostNames, HostOwner, NewHost, Order,
    Organizations, PageRequest, PortError, Reach,
};
use ingest::ports::{Admission, Replica};
use schemas::{DirectoryId, Edge as _, HostName, HostNameId, OrganizationId, Timestamp};

use super::world::World;

const ALL: Reach = Reach::Everything;

fn name(text: &str) -> HostName {
    text.parse().unwrap()
}

impl World {
    async fn add_host(
        &self,
        number: u128,
        text: &str,
        owner: HostOwner,
    ) -> Result<Host, PortError> {
        let (id, created_at) = (HostNameId::from_bits(number), Timestamp::from_millis(1));
        self.store.add(ALL, NewHost { id, name: name(text), owner, created_at }).await
    }

    /// What token `number` opens at its endpoint through this host name.
    async fn enter_through(&self, host: Option<&str>, number: u8) -> Admission {
        let host = host.map(name);
        let endpoint = format!("endpoint-{number}");
        self.store.access(&endpoint, [number; 32], host.as_ref()).await.unwrap()
    }

    async fn shown_host(&self, id: DirectoryId) -> Option<HostName> {
        Directories::get(&*self.store, ALL, id).await.unwrap().host_name
    }
}

#[tokio::test]
async fn the_name_added_last_is_shown_and_the_directorys_own_before_its_organizations() {
    let (world, stream) = World::with_one_directory().await;
    let organization = HostOwner::Organization(stream.organization);
    assert_eq!(world.shown_host(stream.id).await, None);
    for (number, text, owner) in [
        (2, "b.test", organization),
        (3, "a.test", organization),
        (1, "z.test", HostOwner::Directory(stream.id)),
    ] {
        world.add_host(number, text, owner).await.unwrap();
        assert_eq!(world.shown_host(stream.id).await, Some(name(text)));
    }
    assert_eq!(world.store.of_organization(stream.organization), Some(name("a.test")));
    world.store.remove(ALL, HostNameId::from_bits(1)).await.unwrap();
    assert_eq!(world.shown_host(stream.id).await, Some(name("a.test")));
    let again = world.store.remove(ALL, HostNameId::from_bits(1)).await;
    assert!(matches!(again, Err(PortError::NotFound)));
}

#[tokio::test]
async fn only_who_may_enter_learns_that_the_door_is_another() {
    let (world, stream) = World::with_one_directory().await;
    let rival = world.organization(9).await;
    let other = world.directory(rival, 2).await;
    world.add_host(1, "acme.test", HostOwner::Organization(stream.organization)).await.unwrap();
    world.add_host(2, "rival.test", HostOwner::Directory(other.id)).await.unwrap();
    for host in [None, Some("acme.test"), Some("nobody.test")] {
        assert!(matches!(world.enter_through(host, 1).await, Admission::Granted(_)), "{host:?}");
    }
    assert_eq!(world.enter_through(Some("rival.test"), 1).await, Admission::Elsewhere(stream.id));
    assert_eq!(world.enter_through(Some("acme.test"), 2).await, Admission::Elsewhere(other.id));
    let host = name("rival.test");
    let refused = world.store.access("endpoint-1", [7; 32], Some(&host)).await.unwrap();
    assert_eq!(refused, Admission::Refused(Some(stream.id)));
}

#[tokio::test]
async fn a_name_is_one_owners_and_an_owner_has_room_for_so_many() {
    let (world, stream) = World::with_one_directory().await;
    let (own, all) =
        (HostOwner::Directory(stream.id), HostOwner::Organization(stream.organization));
    for number in 0..HOST_NAMES_MAX {
        world.add_host(number as u128, &format!("n{number}.test"), own).await.unwrap();
    }
    let full = world.add_host(90, "more.test", own).await;
    assert!(matches!(full, Err(PortError::Conflict(Conflict::HostNames))), "{full:?}");
    let taken = world.add_host(91, "n0.test", all).await;
    assert!(matches!(taken, Err(PortError::Conflict(Conflict::HostName))), "{taken:?}");
    world.add_host(92, "more.test", all).await.unwrap();
}

#[tokio::test]
async fn a_name_is_within_the_reach_of_its_organization_and_goes_with_it() {
    let (world, stream) = World::with_one_directory().await;
    let rival = world.organization(9).await;
    world.add_host(1, "a.test", HostOwner::Directory(stream.id)).await.unwrap();
    world.add_host(2, "b.test", HostOwner::Organization(rival)).await.unwrap();
    let list = async |reach: Reach, filter: HostFilter| -> Vec<String> {
        let page = PageRequest { reach, limit: 10, order: Order::Ascending, cursor: None };
        let page = HostNames::list(&*world.store, page, filter).await.unwrap();
        page.items.iter().map(|host| host.name.to_string()).collect()
    };
    let of = |id: OrganizationId| HostFilter { organization: Some(id), directory: None };
    let everything = HostFilter::default();
    assert_eq!(list(ALL, everything).await, ["a.test", "b.test"]);
    assert_eq!(list(ALL, of(stream.organization)).await, ["a.test"]);
    assert_eq!(list(Reach::Organization(rival), everything).await, ["b.test"]);
    assert_eq!(list(Reach::Organization(rival), of(stream.organization)).await, [""; 0]);
    let hidden =
        HostNames::get(&*world.store, Reach::Organization(rival), HostNameId::from_bits(1));
    assert!(matches!(hidden.await, Err(PortError::NotFound)));
    let now = world.edge.now();
    Organizations::delete(&*world.store, ALL, stream.organization, now).await.unwrap();
    assert_eq!(list(ALL, everything).await, ["b.test"]);
    assert_eq!(world.store.by_name(&name("a.test")), None);
}
