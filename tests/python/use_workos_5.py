"""Uses version 5 of the SDK of WorkOS as an app in Python would. It checks every answer against models of its own.

Reads its configuration from standard input and writes what it saw: for each check one line {"check", "value"}.
PYTHONPATH names the folder that ./test installed this version in, beside the newer one.
"""

import collections
import importlib.metadata
import json
import sys

from workos import WorkOSClient
from workos.exceptions import BaseRequestException

config = json.load(sys.stdin)


def client(key):
    return WorkOSClient(api_key=key, client_id="client_not_used", base_url=config["base"] + "/")


workos = client(config["key"])


def say(check, value):
    print(json.dumps({"check": check, "value": value}), flush=True)


def refusal(call, *arguments):
    try:
        call(*arguments)
    except BaseRequestException as error:
        return error
    raise AssertionError("it was not refused")


def directories():
    sync = workos.directory_sync
    every = list(sync.list_directories())
    say("directories", [[one.id, one.name, one.type] for one in every])
    say("directory_states", [one.state for one in every])
    few = sync.list_directories(organization_id=config["organization"])
    say("directories_of_organization", [one.id for one in few])
    one = sync.get_directory(config["directory"])
    say("directory", [one.id, one.name, one.type, one.organization_id])


def people():
    sync, directory = workos.directory_sync, config["directory"]
    # Iterating goes from page to page.
    say("users", [one.idp_id for one in sync.list_users(directory_id=directory)])
    say("users_of_group", [one.idp_id for one in sync.list_users(group_id=config["group"])])
    say("groups", [one.name for one in sync.list_groups(directory_id=directory)])
    say("groups_of_user", [one.name for one in sync.list_groups(user_id=config["user"])])
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
        "state": one.state,
        "emails": [[email.value, email.type, email.primary] for email in one.emails],
        "raw_title": one.raw_attributes["title"],
        "groups": [group.name for group in one.groups],
    }


def domains(organization):
    return [one.domain for one in organization.domains]


def organizations():
    api = workos.organizations
    say("organizations", [one.name for one in api.list_organizations()])
    few = api.list_organizations(domains=["acme.example"])
    say("organizations_of_domain", [one.name for one in few])
    one = api.get_organization(config["organization"])
    say("organization", [one.id, one.name, one.external_id, domains(one)])
    same = api.get_organization_by_external_id(config["external_id"])
    say("organization_by_external_id", same.id)
    created = api.create_organization(
        name="Initech", external_id="initech-1",
        domain_data=[{"domain": "initech.example", "state": "verified"}],
    )
    updated = api.update_organization(organization_id=created.id, name="Initrode")
    api.delete_organization(created.id)
    gone = refusal(api.get_organization, created.id)
    say("organization_life", {
        "created": [created.name, created.external_id, domains(created)],
        "updated": [updated.name, domains(updated)],
        "after_deletion": gone.response.status_code,
    })


def events():
    api, types = workos.events, config["types"]
    every = list(api.list_events(events=types))
    say("events", collections.Counter(one.event for one in every))
    say("first_event", [every[0].event, every[0].data.id, every[0].data.state])
    rest = list(api.list_events(events=types, after=every[99].id))
    say("events_after_the_hundredth", len(rest))
    own = list(api.list_events(events=types, organization_id=config["organization"]))
    say("events_of_organization", len(own))
    updated = next(iter(api.list_events(events=["dsync.user.updated"])))
    say("updated_event", [updated.data.job_title, updated.data.previous_attributes["job_title"]])
    added = next(iter(api.list_events(events=["dsync.group.user_added"])))
    say("added_event", [added.data.directory_id, added.data.user.email, added.data.group.name])


def portal():
    generate = workos.portal.generate_link
    wanted = {
        "organization_id": config["organization"],
        "return_url": "https://app.example/settings",
        "success_url": "https://app.example/done",
    }
    made = generate(intent="dsync", **wanted)
    other = refusal(lambda: generate(intent="sso", **wanted))
    say("portal", {"link": made.link.rpartition("/")[0], "other": other.response.status_code})


def refusals():
    nobody = refusal(workos.directory_sync.get_user, config["nobody"])
    say("nobody", nobody.code)
    other = client("sk_of_nobody").directory_sync
    say("wrong_key", refusal(other.list_directories).response.status_code)


say("sdk", importlib.metadata.version("workos"))
directories()
people()
organizations()
events()
portal()
refusals()
