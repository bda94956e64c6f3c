import { createPublicKey, randomUUID, type KeyObject } from 'node:crypto';
import type Docker from 'dockerode';
import Database from 'better-sqlite3';
import { z } from 'zod';
import type { ApiClient } from '@berth/shared/api/client';
import { signableOf } from '@berth/shared/compose/signable';
import { parseTemplate } from '@berth/shared/compose/template';
import { DesiredTenant, entryDigest, toggleDigest } from '@berth/shared/domain/desired';
import { signRelease, type Signable } from '@berth/shared/domain/signature';
import { webImage } from '../../integration/support/images.ts';
import { push, startRegistry } from '../../integration/support/registry.ts';
import { webApp } from '../../support/templates.ts';

const SET = { HEALTH: '/', TAG: '1' };

export function publicOf(key: KeyObject): string {
  return createPublicKey(key).export({ format: 'der', type: 'spki' }).toString('base64');
}

/** An app in a registry of its own, with an image of ours and one that nobody signs, as its CI makes and signs releases of it. */
export async function startSignedApp(docker: Docker) {
  const registry = await startRegistry();
  const base = await webImage(docker);

  async function build(tag: string): Promise<string> {
    const repo = `berth-test/signed-${randomUUID().slice(0, 8)}`;
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

  const ours = await build('1');
  const evil = await build('evil');
  const compose = (version: string): string =>
    webApp({ image: `${registry.host}/app:\${TAG}`, version, bake: '500ms' });

  /** What CI works out from its own files. */
  function signable(app: string, release: number, version: string, digest = ours): Signable {
    const parsed = parseTemplate({ text: compose(version) });
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors));
    const images = { web: `${registry.host}/app@${digest}` };
    const made = signableOf({ app, release, template: parsed.template, set: SET, images });
    if (!made.ok) throw new Error(JSON.stringify(made.errors));
    return made.signable;
  }

  return {
    host: registry.host,
    /** References by digest. */
    ours: `${registry.host}/app@${ours}`,
    evil: `${registry.host}/app@${evil}`,
    evilDigest: evil,
    signable,
    async create(api: ApiClient, app: string, version: string): Promise<number> {
      const body = { compose: compose(version), set: SET };
      return (await api.createRelease({ params: { app }, body })).release;
    },
    async sign(
      api: ApiClient,
      by: { name: string; key: KeyObject },
      { app, release, version }: { app: string; release: number; version: string },
    ): Promise<void> {
      const value = signRelease(by.key, signable(app, release, version));
      const body = { key: by.name, publicKey: publicOf(by.key), value };
      await api.signRelease({ params: { app, release }, body });
    },
    /** What of these is on the daemon. */
    async pulled(reference: string): Promise<string[]> {
      const digests = (await docker.listImages()).flatMap((each) => each.RepoDigests ?? []);
      return digests.filter((each) => each === reference);
    },
    async close(): Promise<void> {
      for (const each of await docker.listImages({ filters: { reference: [`${registry.host}/*`] } }))
        for (const name of each.RepoDigests ?? [])
          if (name.startsWith(registry.host)) await docker.getImage(name).remove({ force: true });
      await registry.close();
    },
  };
}

const Row = z.object({ json: z.string() });
const HostRow = z.object({ host: z.string(), revision: z.number(), digest: z.string() });

/** A coordinator's database in the hands of somebody who writes into it what its one host is told to run. */
export function stolenDatabase(path: string) {
  const database = new Database(path, { timeout: 10_000 });
  const current = (tenant: string): DesiredTenant => {
    const row = Row.parse(database.prepare('select json from desired where tenant = ?').get(tenant));
    return DesiredTenant.parse(JSON.parse(row.json));
  };
  return {
    database,
    current,
    /** In the right shape; the host hears of it with the next change of a neighbour. */
    write(entry: DesiredTenant): void {
      const change = database.transaction(() => {
        const before = entryDigest(current(entry.tenant));
        const host = HostRow.parse(
          database
            .prepare(
              'select host, revision, digest from hosts where host = (select host from desired where tenant = ?)',
            )
            .get(entry.tenant),
        );
        const digest = toggleDigest(toggleDigest(host.digest, before), entryDigest(entry));
        database
          .prepare('update desired set json = ?, digest = ?, revision = ? where tenant = ?')
          .run(JSON.stringify(entry), entryDigest(entry), host.revision + 1, entry.tenant);
        database
          .prepare('update hosts set revision = ?, digest = ? where host = ?')
          .run(host.revision + 1, digest, host.host);
        database
          .prepare('update tenants set generation = ? where tenant = ?')
          .run(entry.generation, entry.tenant);
      });
      // Not to find, when it writes, that the coordinator has written since it read.
      change.immediate();
    },
    close: () => database.close(),
  };
}

/** Another web service than was signed, as the next generation. */
export function inWeb(
  entry: DesiredTenant,
  change: Partial<DesiredTenant['spec']['services'][number]>,
): DesiredTenant {
  return {
    ...entry,
    generation: entry.generation + 1,
    spec: {
      ...entry.spec,
      services: entry.spec.services.map((each) => (each.name === 'web' ? { ...each, ...change } : each)),
    },
  };
}
