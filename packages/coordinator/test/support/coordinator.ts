import { randomBytes } from 'node:crypto';
import { getRequestListener } from '@hono/node-server';
import { createClient, type ApiClient } from '@berth/shared/api/client';
import type { Answer, Question } from '@berth/shared/protocol/messages';
import { EVERYTHING, type AccessScope, type Role } from '@berth/shared/domain/access';
import type { z } from 'zod';
import { BerthError } from '@berth/shared/domain/errors';
import { createApi, type Api, type RequestLog } from '../../src/http/app.ts';
import { createHttpServer } from '../../src/http/http-server.ts';
import { HttpSettings } from '../../src/http/settings.ts';
import { createEventFeed } from '../../src/services/events.ts';
import type { Registry, ResolvedImage } from '../../src/services/registry.ts';
import { createIdentityVerifier } from '../../src/oidc/verify.ts';
import type { IdentityVerifier } from '../../src/services/identity.ts';
import { createDatabaseProvision } from '../../src/services/database-provision.ts';
import type { Postgres } from '../../src/services/postgres.ts';
import type { FleetPort } from '../../src/services/fleet-port.ts';
import {
  createRolloutDriver,
  type RolloutDriver,
  type RolloutPort,
} from '../../src/services/rollout-driver.ts';
import { createServices, type Services } from '../../src/services/index.ts';
import type { Store } from '../../src/services/store.ts';
import { TemplateCache } from '../../src/services/templates.ts';
import type { Vault } from '../../src/services/vault.ts';
import { openStore, type StoreOptions } from '../../src/store/open.ts';
import { BY, hello } from './samples.ts';

/** A fleet that only remembers what it was told, and answers as it is set to. */
export class FakeFleet implements FleetPort {
  readonly told: string[] = [];
  modes = 0;
  readonly questions: Question[] = [];
  answer: Answer | BerthError | ((question: Question) => Answer) = { kind: 'plan', steps: [] };
  readonly connected = new Set<string>();

  changed(host: string): void {
    this.told.push(host);
  }
  modeChanged(): void {
    this.modes += 1;
  }
  readonly gone: string[] = [];
  removed(host: string): void {
    this.gone.push(host);
  }
  readonly signed: string[] = [];
  signersChanged(pool: string): void {
    this.signed.push(pool);
  }
  recheck(): Promise<void> {
    return Promise.resolve();
  }
  gatherHeld(): Promise<void> {
    return Promise.resolve();
  }
  async ask(host: string, question: Question): Promise<Answer> {
    if (!this.connected.has(host)) throw new BerthError('host_offline', `Host ${host} is offline.`);
    this.questions.push(question);
    if (this.answer instanceof BerthError) throw this.answer;
    return await Promise.resolve(typeof this.answer === 'function' ? this.answer(question) : this.answer);
  }
  online(host: string): boolean {
    return this.connected.has(host);
  }
}

/** A registry that has the images it is told of; every other one is missing. */
export class FakeRegistry implements Registry {
  readonly digests = new Map<string, string>();
  readonly asked: string[] = [];
  async resolve(image: string, signal: AbortSignal): Promise<ResolvedImage> {
    this.asked.push(image);
    await Promise.resolve();
    signal.throwIfAborted();
    const digest = this.digests.get(image);
    if (digest === undefined) throw new BerthError('image_not_found', `There is no ${image}.`);
    return { digest, mediaType: 'application/vnd.oci.image.index.v1+json' };
  }
}

export interface TestClock {
  time: number;
  now(): number;
}

export interface TestServices {
  store: Store;
  fleet: FakeFleet;
  registry: FakeRegistry;
  services: Services;
  clock: TestClock;
  /** An enrolled host that is connected. */
  host(name?: string, pool?: string): Promise<string>;
  /** One look of the rollout driver; it looks at no other time. */
  turn(): Promise<void>;
  /** As after a crash: a new driver that knows nothing but the store. */
  restartDriver(): Promise<void>;
  /** What the driver complained of. */
  problems: unknown[];
  close(): Promise<void>;
}

/** The services over an empty store, in memory unless there is a path. */
export async function testServices({
  path = ':memory:',
  store: where = { kind: 'sqlite', path },
  verifier = createIdentityVerifier,
  vault,
  postgres,
}: {
  path?: string;
  store?: StoreOptions | undefined;
  vault?: Vault | undefined;
  postgres?: Postgres | undefined;
  verifier?: ((clock: TestClock) => IdentityVerifier) | undefined;
} = {}): Promise<TestServices> {
  const store = await openStore(where);
  const fleet = new FakeFleet();
  const registry = new FakeRegistry();
  const clock: TestClock = {
    time: 1_000_000,
    now() {
      return this.time;
    },
  };
  const identity = verifier(clock);
  const random = (count: number): Uint8Array => randomBytes(count);
  const templates = new TemplateCache();
  const stop = new AbortController();
  const feed = createEventFeed({ store, signal: stop.signal, pollMs: null, onError: () => {} });
  const problems: unknown[] = [];
  const silent = { debug() {}, info() {}, warn() {}, error: (fields: object) => void problems.push(fields) };
  const start = (): RolloutDriver =>
    createRolloutDriver({
      databases: createDatabaseProvision({ store, vault, clock, random, postgres }),
      store,
      fleet,
      feed,
      cache: templates,
      clock,
      log: silent,
      signal: stop.signal,
      tickMs: null,
    });
  let driver = start();
  const port: RolloutPort = { look: () => driver.look(), open: (rollout) => driver.open(rollout) };
  const services = createServices(
    { store, fleet, registry, identity, vault, clock, random, postgres },
    { version: '0.0.0-test', startedAt: 1 },
    { templates, driver: port },
  );
  return {
    store,
    fleet,
    registry,
    services,
    clock,
    async host(name = 'one', pool = 'default') {
      const { token } = await services.hosts.joinToken(BY, { pool, ttlMs: 60_000 });
      const enrolled = await services.hosts.enrol(BY, { token, publicKey: publicKey(), name });
      fleet.connected.add(enrolled.host);
      await store.fleet.noteConnections([
        { kind: 'online', host: enrolled.host, hello: hello(enrolled.host), at: clock.now() },
      ]);
      return enrolled.host;
    },
    problems,
    turn: () => driver.turn(),
    async restartDriver() {
      await driver.close();
      driver = start();
    },
    async close() {
      await driver.close();
      stop.abort();
      await store.close();
    },
  };
}

/** An Ed25519 key in SPKI is this prefix and any 32 bytes. */
export function publicKey(): string {
  const prefix = Buffer.from('302a300506032b6570032100', 'hex');
  return Buffer.concat([prefix, randomBytes(32)]).toString('base64');
}

export interface TestCoordinator extends TestServices {
  url: string;
  token(role: 'viewer' | 'deployer' | 'operator' | 'admin'): Promise<string>;
  client(role?: 'viewer' | 'deployer' | 'operator' | 'admin'): Promise<ApiClient>;
  /** What was logged, one object per line. */
  logged: object[];
  /** The same without a socket. */
  api: Api;
  stop: AbortController;
}

/** The API over real HTTP on a free port of the loopback interface. */
export async function testCoordinator(
  options: {
    streamHeartbeatMs?: number;
    services?: (real: Services) => Services;
    path?: string;
    store?: StoreOptions;
    vault?: Vault;
    postgres?: Postgres;
    verifier?: (clock: TestClock) => IdentityVerifier;
    http?: z.input<typeof HttpSettings>;
  } = {},
): Promise<TestCoordinator> {
  const {
    services = (real: Services) => real,
    path,
    store,
    vault,
    postgres,
    verifier,
    http = UNLIMITED,
    ...rest
  } = options;
  const base = await testServices({
    ...(path === undefined ? {} : { path }),
    store,
    vault,
    postgres,
    verifier,
  });
  const settings = HttpSettings.parse(http);
  const stop = new AbortController();
  const logged: object[] = [];
  const keep = (fields: object, message: string): void => void logged.push({ ...fields, message });
  const log: RequestLog = { info: keep, warn: keep, error: keep };
  const feed = createEventFeed({ store: base.store, signal: stop.signal, pollMs: null, onError: () => {} });
  let requests = 0;
  const api = createApi({
    services: services(base.services),
    store: base.store,
    feed,
    version: '0.0.0-test',
    clock: base.clock,
    requestId: () => `request-${(requests += 1)}`,
    log,
    agents: () => base.fleet.connected.size,
    signal: stop.signal,
    settings,
    ...rest,
  });
  const listener = getRequestListener(api.fetch);
  const server = createHttpServer(settings, (incoming, outgoing) => void listener(incoming, outgoing));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const url = `http://127.0.0.1:${address.port}`;
  const token = async (role: 'viewer' | 'deployer' | 'operator' | 'admin'): Promise<string> =>
    (await base.services.access.create(BY, { name: role, role, scope: scopeFor(role) })).token;
  return {
    ...base,
    url,
    token,
    client: async (role = 'admin') => createClient({ url, token: await token(role) }),
    logged,
    api,
    stop,
    async close() {
      stop.abort();
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      await base.close();
    },
  };
}

/** As many requests and mistakes as a test has. */
export const UNLIMITED = {
  metrics: 'open',
  limits: { perToken: 1e7, perAddress: 1e7, failures: 1e7 },
} as const;

/** A deployer must name its apps; the others may do everything. */
function scopeFor(role: Role): AccessScope {
  return { ...EVERYTHING, apps: role === 'deployer' ? ['shop'] : [] };
}

export const COMPOSE = `
name: shop
services:
  web:
    image: registry.test/shop-web:\${VERSION:-1}
    environment:
      GREETING: \${GREETING:-hello}
      STORE: \${BERTH_TENANT}
    healthcheck: { test: ["CMD", "/app/health"], interval: 2s }
    deploy: { resources: { limits: { cpus: "0.50", memory: 256M } } }
    x-berth: { route: { port: 8080 }, drain: 30s }
`;
