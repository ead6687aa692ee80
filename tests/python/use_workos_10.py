"""Uses version 10 of the SDK of WorkOS as an app in Python would.

Reads its configuration from standard input and writes what it saw: for each check one line {"check", "value"}.
"""

import collections
import importlib.metadata
import json
import sys

from workos import WorkOSClient
from workos._errors import APIError
from workos.organizations.models import OrganizationDomainData

config = json.load(sys.stdin)


def client(key):
    return WorkOSClient(api_key=key, client_id="client_not_used", base_url=config["base"])


workos = client(config["key"])


def say(check, value):
    print(json.dumps({"check": check, "value": value}), flush=True)


def text(value):
    """Names from a fixed list are members of an enum, new ones are texts."""
    return getattr(value, "value", value)


def refusal(call, *arguments, **named):
    try:
        call(*arguments, **named)
    except APIError as error:
        return error
    raise AssertionError("it was not refused")


def directories():
    sync = workos.directory_sync
    every = list(sync.list_directories().auto_paging_iter())
    say("directories", [[one.id, one.name, text(one.type)] for one in every])
    say("directory_states", [text(one.state) for one in every])
    few = sync.list_directories(organization_id=config["organization"]).auto_paging_iter()
    say("directories_of_organization", [one.id for one in few])
    one = sync.get_directory(config["directory"])
    say("directory", [one.id, one.name, text(one.type), one.organization_id])


def people():
    sync, directory = workos.directory_sync, config["directory"]
    users = sync.list_users(directory=directory, limit=100).auto_paging_iter()
    say("users", [one.idp_id for one in users])
    members = sync.list_users(group=config["group"], limit=50).auto_paging_iter()
    say("users_of_group", [one.idp_id for one in members])
    groups = sync.list_groups(directory=directory).auto_paging_iter()
    say("groups", [one.name for one in groups])
    of_user = sync.list_groups(user=config["user"]).auto_paging_iter()
    say("groups_of_user", [one.name for one in of_user])
    seventh = "user.007@acme.example"
    by_id = sync.list_users(directory=directory, idp_id=f"ext-{seventh}").auto_paging_iter()
    say("user_by_idp_id", [one.idp_id for one in by_id])
    by_email = sync.list_users(directory=directory, email=seventh).auto_paging_iter()
    say("user_by_email", [one.idp_id for one in by_email])
    say("user", user(sync.get_user(config["user"])))
    one = sync.get_group(config["group"])
    say("group", {
        "id": one.id, "directory": one.directory_id, "organization": one.organization_id,
        "idp_id": one.idp_id, "name": one.name,
    })


def user(one):
    return {
        "id": one.id, "directory": one.directory_id, "organization": one.organization_id,
        "idp_id": one.idp_id, "email": one.email, "username": one.username,
        "first_name": one.first_name, "last_name": one.last_name, "job_title": one.job_title,
        "state": text(one.state),
        "emails": [[email.value, email.type, email.primary] for email in one.emails],
        "raw_title": one.raw_attributes["title"],
        "groups": [group.name for group in one.groups],
    }


def domains(organization):
    return [one.domain for one in organization.domains]


def organizations():
    api = workos.organizations
    say("organizations", [one.name for one in api.list_organizations().auto_paging_iter()])
    few = api.list_organizations(domains=["acme.example"]).auto_paging_iter()
    say("organizations_of_domain", [one.name for one in few])
    one = api.get_organization(config["organization"])
    say("organization", [one.id, one.name, one.external_id, domains(one)])
    same = api.get_organization_by_external_id(config["external_id"])
    say("organization_by_external_id", same.id)
    created = api.create_organization(
        name="Initech", external_id="initech-1",
        domain_data=[OrganizationDomainData(domain="initech.example", state="verified")],
    )
    updated = api.update_organization(created.id, name="Initrode")
    api.delete_organization(created.id)
    say("organization_life", {
        "created": [created.name, created.external_id, domains(created)],
        "updated": [updated.name, domains(updated)],
        "after_deletion": refusal(api.get_organization, created.id).status_code,
    })


def events():
    api, types = workos.events, config["types"]
    every = list(api.list_events(events=types, limit=100).auto_paging_iter())
    say("events", collections.Counter(text(one.event) for one in every))
    say("first_event", [text(every[0].event), every[0].data.id, text(every[0].data.state)])
    rest = api.list_events(events=types, limit=100, after=every[99].id).auto_paging_iter()
    say("events_after_the_hundredth", len(list(rest)))
    own = api.list_events(events=types, limit=100, organization_id=config["organization"])
    say("events_of_organization", len(list(own.auto_paging_iter())))
    updated = next(iter(api.list_events(events=["dsync.user.updated"])))
    say("updated_event", [updated.data.job_title, updated.data.previous_attributes["job_title"]])
    added = next(iter(api.list_events(events=["dsync.group.user_added"])))
    say("added_event", [added.data.directory_id, added.data.user.email, added.data.group.name])


def endpoints():
    api = workos.webhooks
    url = "https://app.example/hooks"
    created = api.create_webhook_endpoint(endpoint_url=url, events=["dsync.user.created"])
    again = refusal(api.create_webhook_endpoint, endpoint_url=url, events=["dsync.user.created"])
    listed = len(list(api.list_webhook_endpoints().auto_paging_iter()))
    updated = api.update_webhook_endpoint(
        created.id, status="disabled", events=["dsync.group.created", "dsync.group.deleted"]
    )
    api.delete_webhook_endpoint(created.id)
    say("endpoint", {
        "created": [created.endpoint_url, text(created.status), created.events, created.secret[:6]],
        "again": again.status_code,
        "listed": listed,
        "updated": [text(updated.status), updated.events],
        "after_deletion": len(list(api.list_webhook_endpoints().auto_paging_iter())),
    })


def portal():
    generate = workos.admin_portal.generate_link
    wanted = {
        "organization": config["organization"],
        "return_url": "https://app.example/settings",
        "success_url": "https://app.example/done",
    }
    made = generate(intent="dsync", **wanted)
    other = refusal(generate, intent="sso", **wanted)
    say("portal", {"link": made.link.rpartition("/")[0], "other": other.status_code})


def refusals():
    say("nobody", refusal(workos.directory_sync.get_user, config["nobody"]).code)
    other = client("sk_of_nobody").directory_sync
    say("wrong_key", refusal(other.list_directories).status_code)


say("sdk", importlib.metadata.version("workos"))
directories()
people()
organizations()
events()
endpoints()
portal()
refusals()
