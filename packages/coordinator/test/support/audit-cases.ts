import { generateKeyPairSync } from 'node:crypto';
import { AddTrust } from '@berth/shared/api/oidc';
import { CreateRelease, type SignRelease } from '@berth/shared/api/releases';
import type { RouteName } from '@berth/shared/api/routes';
import { signableOf } from '@berth/shared/compose/signable';
import { parseTemplate } from '@berth/shared/compose/template';
import { RolloutPolicy } from '@berth/shared/domain/rollout';
import { signRelease } from '@berth/shared/domain/signature';
import { signSigners, type PoolSigners } from '@berth/shared/domain/signers';
import { parseWaves } from '@berth/shared/domain/waves-text';
import { COMPOSE, publicKey, type TestCoordinator } from './coordinator.ts';
import type { Names } from './fitting.ts';
import { BY, hello, report } from './samples.ts';

/** In every value that nobody may read back: variables, env files, reasons that quote a token. */
export const PLANTED = 'planted-a8f3c1';
/** The same, as secrets are sent. */
export const PLANTED_BYTES = Buffer.from(PLANTED).toString('base64');

/** A world with an app of two releases, a tenant of the first, a host, and a rollout that has begun. */
export interface AuditWorld {
  c: TestCoordinator;
  names: Names;
}

/**
 * How a route comes to do something. What is left out is as `fitting` makes it: a body with what its schema asks for, and
 * the names of the world. `effect`: `none` for a route that is sent like a change and makes none. `unknown`: what is not
 * there is made. `elsewhere`: it takes a world of its own, and its record is looked at in that file; here it is refused.
 */
export interface AuditCase {
  effect?: 'none';
  /** What it answers, where that is not what the table says. */
  status?: number;
  unknown?: 'made';
  elsewhere?: string;
  prepare?: (world: AuditWorld) => Promise<void>;
  /** Names in the path. */
  params?: (world: AuditWorld) => Promise<Names>;
  body?: (world: AuditWorld) => unknown;
}

const shop = (text: string): string => COMPOSE.replace('hello', text);
const acted = { reason: `because of berth_api_${PLANTED.replace('-', '')}aaaaaaaaaaaaaaaa` };

export const AUDIT_CASES: Partial<Record<RouteName, AuditCase>> = {
  planRollout: { effect: 'none', body: () => ({ app: 'shop', to: 2, policy: policy('100%') }) },
  planTenant: { effect: 'none', body: () => ({ variables: { GREETING: PLANTED } }) },
  // Nothing of AWS is set up here, and it keeps nothing anyway.
  enrolChallenge: { effect: 'none', status: 503 },
  confirmEpoch: {
    prepare: async ({ c }) => void (await c.store.fleet.enterObserveOnly('restored', 5)),
  },
  applyApp: {
    unknown: 'made',
    body: () => ({
      compose: shop(PLANTED).replace('    environment:', '    env_file: app.env\n    environment:'),
      envFiles: { 'app.env': `PASSWORD=${PLANTED}\n` },
      set: { KEY: PLANTED },
    }),
  },
  signRelease: {
    prepare: async (world) => {
      await pinned(world);
      await world.c.services.releases.create(BY, 'shop', PINNED);
    },
    params: () => Promise.resolve({ release: '3' }),
    body: signature,
  },
  createRelease: {
    unknown: 'made',
    prepare: pinned,
    body: () => ({ compose: shop('new'), set: { KEY: PLANTED } }),
  },
  setApp: { body: () => ({ variables: { KEY: PLANTED } }) },
  setSecrets: { body: () => ({ secrets: { STRIPE_KEY: { kind: 'value', value: PLANTED_BYTES } } }) },
  removeSecret: { prepare: secret, params: () => Promise.resolve({ secret: 'OLD_KEY' }) },
  rotateSecretKey: { prepare: secret },
  setDatabaseServer: {
    unknown: 'made',
    params: () => Promise.resolve({ server: 'main' }),
    body: () => ({ url: DATABASE_URL, replace: true }),
  },
  removeDatabaseServer: { prepare: databaseServer, params: () => Promise.resolve({ server: 'main' }) },
  dropTenantDatabase: { prepare: leftDatabase, params: () => Promise.resolve({ tenant: 'wasacme' }) },
  setPoolJoin: { unknown: 'made' },
  setPoolSigners: { unknown: 'made', body: ({ names }) => statement(names['pool'] ?? 'eu-1') },
  setPool: { body: () => ({ variables: { KEY: PLANTED } }) },
  deleteApp: { params: async ({ c }) => ({ app: await emptyApp(c) }) },
  freezeApp: { body: () => acted },
  unfreezeApp: {
    prepare: async ({ c }) => void (await c.services.apps.freeze(BY, 'shop', 'for now')),
  },
  createTenant: {
    body: () => ({
      tenant: 'initech',
      app: 'shop',
      pool: 'eu-1',
      domains: ['initech.example.com'],
      variables: { GREETING: PLANTED },
    }),
  },
  changeTenant: { prepare: abort, body: () => ({ variables: { GREETING: PLANTED } }) },
  setTenant: { body: () => ({ pinned: acted.reason, addTags: ['canary'] }) },
  pauseTenant: { prepare: abort },
  resumeTenant: {
    prepare: async (world) => {
      await abort(world);
      await world.c.services.tenants.pause(BY, 'acme');
    },
  },
  restartTenant: { prepare: abort },
  rollbackTenant: {
    prepare: async (world) => {
      await abort(world);
      await world.c.services.tenants.change(BY, 'acme', { release: 2 });
    },
    body: () => acted,
  },
  decideRelease: {
    prepare: async (world) => {
      await abort(world);
      await fails(world, { releaseKey: 'key-1' });
    },
    body: () => ({ choice: 'succeeded' }),
  },
  deleteTenant: { prepare: abort },
  removeHost: { params: async ({ c }) => ({ host: await c.host('spare', 'spare') }) },
  probeHost: {
    prepare: ({ c }) => {
      c.fleet.answer = { kind: 'probe', report: { at: 1, ms: 2, rows: [] } };
      return Promise.resolve();
    },
  },
  uncordonHost: {
    prepare: async ({ c, names }) =>
      void (await c.services.hosts.schedule(BY, names['host'] ?? '', 'cordoned')),
  },
  reenrolHost: {
    prepare: async ({ c, names }) => {
      await c.store.mutate(BY, 5, async (tx) => {
        await tx.bindInstance({
          instance: 'i-0123456789abcdef0',
          host: names['host'] ?? '',
          account: '123456789012',
          region: 'eu-central-1',
          image: 'ami-0123456789abcdef0',
          role: 'berth-host',
          enrolledAt: 5,
          reenrolUntil: null,
        });
        return { result: null, audit: 'bookkeeping' };
      });
    },
  },
  enrolHost: {
    prepare: async (world) => {
      const { token } = await world.c.services.hosts.joinToken(BY, { pool: 'eu-1', ttlMs: 60_000 });
      joinTokens.set(world, token);
    },
    body: (world) => ({ token: joinTokens.get(world), publicKey: publicKey(), name: 'fresh' }),
  },
  createToken: { body: () => ({ name: `ci ${acted.reason}`.slice(0, 60), role: 'viewer' }) },
  removeTrust: {
    params: async ({ c }) => {
      const rule = AddTrust.parse({
        audience: 'a',
        repository: 'example/shop',
        ref: 'refs/heads/main',
        apps: ['shop'],
      });
      return { id: (await c.services.oidc.add(BY, rule)).id };
    },
  },
  // It takes an identity provider.
  exchangeToken: { elsewhere: 'packages/coordinator/test/oidc/exchange.test.ts' },
  revokeToken: {
    params: async ({ c }) => {
      await c.token('viewer');
      const [first] = await c.store.tokens();
      return { id: first?.id ?? '' };
    },
  },
  startRollout: {
    prepare: abort,
    body: () => ({ app: 'shop', to: 2, policy: policy('1,100%') }),
  },
  pauseRollout: { body: () => acted },
  resumeRollout: {
    prepare: async ({ c }) => void (await c.services.rollouts.act(BY, 1, 'pause', {})),
    body: () => acted,
  },
  approveRollout: {
    prepare: async (world) => {
      await abort(world);
      await world.c.services.rollouts.start(BY, {
        app: 'shop',
        to: 2,
        policy: policy('100%:approve'),
        whenBusy: 'refuse',
      });
      await world.c.turn();
    },
    params: () => Promise.resolve({ rollout: '2' }),
    body: () => acted,
  },
  retryRollout: {
    prepare: async (world) => {
      await world.c.turn();
      await fails(world, {});
      await world.c.turn();
    },
    body: () => acted,
  },
  abortRollout: { body: () => acted },
  rollbackRollout: { body: () => acted },
};

const DIGEST = `sha256:${'a'.repeat(64)}`;
const PINNED = CreateRelease.parse({ compose: shop('pinned'), set: { KEY: PLANTED } });

async function pinned({ c }: AuditWorld): Promise<void> {
  c.registry.digests.set('registry.test/shop-web:1', DIGEST);
  await Promise.resolve();
}

/** Of release 3, as somebody makes it who has the same files. */
function signature(): SignRelease {
  const { privateKey, publicKey: key } = generateKeyPairSync('ed25519');
  const parsed = parseTemplate({ text: PINNED.compose, envFiles: {} });
  if (!parsed.ok) throw new Error('it is no template');
  const made = signableOf({
    app: 'shop',
    release: 3,
    template: parsed.template,
    set: PINNED.set,
    images: { web: `registry.test/shop-web@${DIGEST}` },
  });
  if (!made.ok) throw new Error(JSON.stringify(made.errors));
  const spki = key.export({ format: 'der', type: 'spki' });
  return { key: 'ci', publicKey: spki.toString('base64'), value: signRelease(privateKey, made.signable) };
}

/** Of a pool's signers, by the key that it names. */
function statement(pool: string): { signers: PoolSigners; by: { key: string; value: string }[] } {
  const { privateKey, publicKey: key } = generateKeyPairSync('ed25519');
  const spki = key.export({ format: 'der', type: 'spki' }).toString('base64');
  const signers = { pool, version: 1, required: true, keys: [{ name: 'ci', publicKey: spki }] };
  return { signers, by: [{ key: 'ci', value: signSigners(privateKey, signers) }] };
}

const joinTokens = new WeakMap<AuditWorld, string>();

function policy(text: string): RolloutPolicy {
  const waves = parseWaves(text);
  if (!waves.ok) throw new Error(waves.error);
  return RolloutPolicy.parse({ waves: waves.waves, bakeMs: 5_000 });
}

/** The world's rollout keeps its tenant to itself. */
async function abort({ c }: AuditWorld): Promise<void> {
  await c.services.rollouts.act(BY, 1, 'abort', {});
  await c.turn();
}

async function secret({ c }: AuditWorld): Promise<void> {
  await c.services.secrets.set(BY, 'acme', { OLD_KEY: { kind: 'value', value: PLANTED_BYTES } });
}

const DATABASE_URL = `postgres://admin:${PLANTED}@db.test/postgres`;

async function databaseServer({ c }: AuditWorld): Promise<void> {
  const given = { url: DATABASE_URL, replace: false, default: false };
  await c.services.databases.set(BY, 'main', given);
}

/** What a tenant that is no more left on a server. */
async function leftDatabase(world: AuditWorld): Promise<void> {
  await databaseServer(world);
  await world.c.store.mutate(BY, 5, async (tx) => {
    await tx.putTenantDatabase({
      tenant: 'wasacme',
      app: 'shop',
      pool: 'eu-1',
      server: 'main',
      mark: '0123456789abcdef',
      role: 'berth_t_wasacme',
      database: 'berth_t_wasacme',
      schema: null,
      connections: 20,
      state: 'ready',
      secretId: '0123456789abcdef',
      createdAt: 5,
    });
    return { result: null, audit: 'bookkeeping' };
  });
}

async function emptyApp(c: TestCoordinator): Promise<string> {
  const compose = COMPOSE.replace('name: shop', 'name: empty');
  await c.services.apps.apply(BY, 'empty', { compose, envFiles: {}, labels: {}, set: {} });
  return 'empty';
}

/** The tenant's agent says that what is desired has failed. */
async function fails({ c, names }: AuditWorld, problem: { releaseKey?: string }): Promise<void> {
  const host = names['host'] ?? '';
  const record = await c.store.tenant('acme');
  const generation = record?.generation ?? 0;
  await c.store.fleet.noteConnections([{ kind: 'online', host, hello: hello(host), at: c.clock.now() }]);
  const failed = report('acme', {
    generation,
    live: null,
    phase: 'failed',
    at: c.clock.now(),
    problem: {
      code: problem.releaseKey === undefined ? 'health_failed' : 'release_outcome_unknown',
      message: 'It went wrong.',
      step: 'probe',
      service: 'web',
      logTail: [PLANTED],
      at: c.clock.now(),
      ...problem,
    },
  });
  await c.store.fleet.ingest([
    { host, at: c.clock.now(), tenants: [failed], events: [], traffic: [], report: null },
  ]);
}
