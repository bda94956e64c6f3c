import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { webImage } from '../integration/support/images.ts';
import { push, startRegistry, type RealRegistry } from '../integration/support/registry.ts';
import { dockerAt, sharedSocket } from '../support/docker.ts';
import { startFleet, type Fleet } from '../support/fleet.ts';
import { ask } from '../support/load.ts';
import { webApp } from '../support/templates.ts';

/** Releases that are pinned, from a real registry to containers on a real host. */

const docker = dockerAt(sharedSocket());
let fleet: Fleet;
let registry: RealRegistry;
let base: string;

beforeAll(async () => {
  base = await webImage(docker);
  registry = await startRegistry();
  fleet = await startFleet();
  await fleet.addAgent();
});
afterAll(async () => {
  await fleet?.close();
  // What the hosts pulled stays with the Docker that all tests share.
  for (const each of await docker.listImages({ filters: { reference: [`${registry.host}/*`] } }))
    for (const name of each.RepoDigests ?? [])
      if (name.startsWith(registry.host)) await docker.getImage(name).remove({ force: true });
  await registry?.close();
});

/** Pushes the web server with another content under this tag. Resolves to its digest. */
async function build(tag: string): Promise<string> {
  const repo = `berth-test/pinned-${randomUUID().slice(0, 8)}`;
  const container = await docker.createContainer({ Image: base, Cmd: ['true'] });
  try {
    await container.commit({ repo, tag: '1', comment: randomUUID() });
  } finally {
    await container.remove();
  }
  try {
    return await push(docker, `${repo}:1`, { host: registry.host, name: 'app', tag });
  } finally {
    await docker.getImage(`${repo}:1`).remove();
  }
}

const compose = (version: string): string =>
  webApp({ image: `${registry.host}/app:\${TAG}`, version, bake: '500ms' });

async function release(version: string, tag: string) {
  return await fleet
    .api()
    .createRelease({ params: { app: 'shop' }, body: { compose: compose(version), set: { TAG: tag } } });
}

async function imagesRunning(): Promise<string[]> {
  const seen = (await fleet.containers('acme')).filter((each) => each.state === 'running');
  return await Promise.all(
    seen.map(async ({ id }) => (await docker.getContainer(id).inspect()).Config.Image),
  );
}

test('a tenant runs what the tag was when its release was made, until it moves to another', async () => {
  const first = await build('stable');
  const made = await release('1', 'stable');
  expect(made.pins['web']).toMatchObject({ digest: first, reference: `${registry.host}/app@${first}` });

  // The tag moves before any tenant begins, and the tenant itself names another.
  const second = await build('stable');
  await fleet.create('acme', 'shop', { variables: { TAG: 'nonsense' } });
  expect(await imagesRunning()).toEqual([`${registry.host}/app@${first}`]);
  expect((await ask(fleet.place('acme'))).body).toBe('1');

  const next = await release('2', 'stable');
  expect(next).toMatchObject({ release: 2, result: 'created', pins: { web: { digest: second } } });
  await fleet.untilSettled('acme', 1);
  await fleet.untilLive(await fleet.release('acme', 2));
  await fleet.untilAnswers('acme', '2');
  await fleet.untilSettled('acme', 2);
  expect(await imagesRunning()).toEqual([`${registry.host}/app@${second}`]);
});

test('a digest that is gone from the registry blocks the move, and what serves goes on', async () => {
  const digest = await build('short-lived');
  const { release: third } = await release('3', 'short-lived');
  const gone = await fetch(`http://${registry.host}/v2/app/manifests/${digest}`, { method: 'DELETE' });
  expect(gone.status).toBe(202);
  const problem = await fleet.untilTrouble('tenant.blocked', await fleet.release('acme', third));
  expect(problem.code).toBe('image_not_found');
  expect(problem.message).toContain(`no longer has ${registry.host}/app@${digest}`);
  expect((await ask(fleet.place('acme'))).body).toBe('2');
});
