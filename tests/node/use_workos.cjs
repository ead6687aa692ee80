// Uses the SDK of WorkOS as an app in Node would. Reads its configuration from standard input and writes what it saw: for
// each check one line {"check", "value"}.
//
// The SDK is not beside this file: DSYNC_TEST_NODE names the folder that ./test installed it in.

'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { createRequire } = require('node:module');

const folder = process.env.DSYNC_TEST_NODE;
const installed = createRequire(path.join(folder, 'package.json'));
const { WorkOS } = installed('@workos-inc/node');

const config = JSON.parse(fs.readFileSync(0, 'utf8'));
const server = { apiHostname: config.host, port: config.port, https: false };
const workos = new WorkOS(config.key, server);
const { directorySync, events, organizations } = workos;

function say(check, value) {
  process.stdout.write(JSON.stringify({ check, value }) + '\n');
}

async function refusal(call) {
  try {
    await call();
  } catch (error) {
    return error;
  }
  throw new Error('it was not refused');
}

async function directories() {
  const all = await (await directorySync.listDirectories()).autoPagination();
  say('directories', all.map((one) => [one.id, one.name, one.type]));
  say('directory_states', all.map((one) => one.state));
  const { organization: organizationId } = config;
  const few = await (await directorySync.listDirectories({ organizationId })).autoPagination();
  say('directories_of_organization', few.map((one) => one.id));
  const one = await directorySync.getDirectory(config.directory);
  say('directory', [one.id, one.name, one.type, one.organizationId]);
}

async function people() {
  const { directory, group, user } = config;
  const users = await (await directorySync.listUsers({ directory })).autoPagination();
  say('users', users.map((one) => one.idpId));
  const members = await (await directorySync.listUsers({ group })).autoPagination();
  say('users_of_group', members.map((one) => one.idpId));
  const groups = await (await directorySync.listGroups({ directory })).autoPagination();
  say('groups', groups.map((one) => one.name));
  const ofUser = await (await directorySync.listGroups({ user })).autoPagination();
  say('groups_of_user', ofUser.map((one) => one.name));
  const one = await directorySync.getUser(user);
  say('user', {
    id: one.id, directory: one.directoryId, organization: one.organizationId, idp_id: one.idpId,
    email: one.email, first_name: one.firstName, last_name: one.lastName, state: one.state,
    raw_title: one.rawAttributes.title,
    groups: one.groups.map((group) => group.name),
  });
  const first = await directorySync.getGroup(group);
  say('group', {
    id: first.id, directory: first.directoryId, organization: first.organizationId,
    idp_id: first.idpId, name: first.name,
  });
}

const domains = (organization) => organization.domains.map((one) => one.domain);

async function allOrganizations() {
  const all = await (await organizations.listOrganizations()).autoPagination();
  say('organizations', all.map((one) => one.name));
  const few = await organizations.listOrganizations({ domains: ['acme.example'] });
  say('organizations_of_domain', (await few.autoPagination()).map((one) => one.name));
  const one = await organizations.getOrganization(config.organization);
  say('organization', [one.id, one.name, one.externalId, domains(one)]);
  const same = await organizations.getOrganizationByExternalId(config.external_id);
  say('organization_by_external_id', same.id);
  const created = await organizations.createOrganization({
    name: 'Initech', externalId: 'initech-1',
    domainData: [{ domain: 'initech.example', state: 'verified' }],
  });
  const updated = await organizations.updateOrganization({ organization: created.id, name: 'Initrode' });
  await organizations.deleteOrganization(created.id);
  const gone = await refusal(() => organizations.getOrganization(created.id));
  say('organization_life', {
    created: [created.name, created.externalId, domains(created)],
    updated: [updated.name, domains(updated)],
    after_deletion: gone.status,
  });
}

// The SDK leaves it to the app to go from page to page.
async function everyEvent(options) {
  const found = [];
  let after;
  do {
    const page = await events.listEvents({ events: config.types, limit: 100, ...options, after: after ?? options.after });
    found.push(...page.data);
    after = page.listMetadata.after;
  } while (after);
  return found;
}

async function allEvents() {
  const all = await everyEvent({});
  const counts = {};
  for (const { event } of all) counts[event] = (counts[event] ?? 0) + 1;
  say('events', counts);
  say('first_event', [all[0].event, all[0].data.id, all[0].data.state]);
  say('events_after_the_hundredth', (await everyEvent({ after: all[99].id })).length);
  const { organization: organizationId } = config;
  say('events_of_organization', (await everyEvent({ organizationId })).length);
  const [updated] = await everyEvent({ events: ['dsync.user.updated'] });
  say('updated_event', [updated.data.rawAttributes.title, updated.data.previousAttributes.job_title]);
  const [added] = await everyEvent({ events: ['dsync.group.user_added'] });
  say('added_event', [added.data.directoryId, added.data.user.email, added.data.group.name]);
}

async function portal() {
  const { organization } = config;
  const urls = { returnUrl: 'https://app.example/settings', successUrl: 'https://app.example/done' };
  const generate = (intent) => workos.portal.generateLink({ organization, intent, ...urls });
  const { link } = await generate('dsync');
  const other = await refusal(() => generate('sso'));
  say('portal', { link: link.slice(0, link.lastIndexOf('/')), other: other.status });
}

async function refusals() {
  say('nobody', (await refusal(() => directorySync.getUser(config.nobody))).code);
  const other = new WorkOS('sk_of_nobody', server);
  say('wrong_key', (await refusal(() => other.directorySync.listDirectories())).status);
}

async function main() {
  const sdk = path.join(folder, 'node_modules', '@workos-inc', 'node', 'package.json');
  say('sdk', JSON.parse(fs.readFileSync(sdk, 'utf8')).version);
  say('node', process.versions.node.split('.').map(Number));
  await directories();
  await people();
  await allOrganizations();
  await allEvents();
  await portal();
  await refusals();
}

main();
