import { VERSION } from '@berth/shared/domain/version';
import { randomBytes } from 'node:crypto';
import { vaultSettings, type Config } from './config.ts';
import { openEnrolment } from './enrolment/open.ts';
import { createIdentityVerifier } from './oidc/verify.ts';
import { openPostgres } from './postgres/open.ts';
import { openVault } from './secrets/vault.ts';
import { openRegistry } from './registry/open.ts';
import { createDatabaseProvision } from './services/database-provision.ts';
import { createEventFeed, type EventFeed } from './services/events.ts';
import { createFleet } from './services/fleet.ts';
import { followHints } from './services/fleet-hints.ts';
import type { Fleet, Log } from './services/fleet-types.ts';
import { createSecretDelivery } from './services/secret-delivery.ts';
import { createServices, type Services } from './services/index.ts';
import { createRolloutDriver } from './services/rollout-driver.ts';
import type { Store } from './services/store.ts';
import { TemplateCache } from './services/templates.ts';
import { openStore } from './store/open.ts';

/** The parts of a coordinator without its doors: what `main` wires, and what tests start in one process. */
export interface CoordinatorContext {
  store: Store;
  fleet: Fleet;
  services: Services;
  feed: EventFeed;
  clock: { now(): number };
  close(): Promise<void>;
}

/** How often events of other coordinators on the same PostgreSQL are looked for. */
const POLL_MS = 500;

/** Opens the store and builds fleet and services on it. `signal` ends the event feed. */
export async function createContext(
  config: Config,
  log: Log,
  signal: AbortSignal,
): Promise<CoordinatorContext> {
  const clock = { now: () => Date.now() };
  const random = (count: number): Uint8Array => randomBytes(count);
  const store = await openStore(config.store);
  try {
    await store.resetConnections();
    const { heartbeatMs, pingsPerSecond, tickMs } = config.fleet;
    const vault = openVault(vaultSettings(config));
    const fleet = await createFleet({
      secrets: createSecretDelivery({ store, vault, log }),
      store: store.fleet,
      clock,
      random: () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48,
      log,
      heartbeat: {
        ...(heartbeatMs === undefined ? {} : { minMs: heartbeatMs }),
        ...(pingsPerSecond === undefined ? {} : { pingsPerSecond }),
      },
      ...(tickMs === undefined ? {} : { tickMs }),
    });
    const chance = (): number => randomBytes(6).readUIntBE(0, 6) / 2 ** 48;
    const registry = openRegistry({ registries: config.registries, clock, random: chance });
    const feed = createEventFeed({
      store,
      signal,
      pollMs: store.kind === 'postgres' ? POLL_MS : null,
      onError: (thrown) =>
        log.error({ err: thrown }, 'Could not read new events; trying again with the next.'),
    });
    const hints =
      store.kind === 'postgres'
        ? followHints(feed, fleet, signal).catch((thrown: unknown) => {
            if (!signal.aborted)
              log.error({ err: thrown }, 'What other coordinators change is not heard of any more.');
          })
        : Promise.resolve();
    const { cpuOvercommit } = config.placement;
    const key = await store.enrolmentKey(randomBytes(32).toString('base64url'));
    const enrolment = openEnrolment(config.enrolment, key);
    const templates = new TemplateCache();
    const postgres = openPostgres();
    const driver = createRolloutDriver({
      databases: createDatabaseProvision({ store, vault, clock, random, postgres }),
      store,
      fleet,
      feed,
      cache: templates,
      clock,
      log,
      signal,
      cpuOvercommit,
    });
    const services = createServices(
      {
        store,
        fleet,
        registry,
        identity: createIdentityVerifier(clock),
        clock,
        random,
        cpuOvercommit,
        enrolment,
        vault,
        postgres,
      },
      { version: VERSION, startedAt: clock.now() },
      { templates, driver },
    );
    await sayLostKeys(services, log);
    return {
      store,
      fleet,
      services,
      feed,
      clock,
      async close() {
        await driver.close();
        await hints;
        await fleet.close();
        await store.close();
      },
    };
  } catch (thrown) {
    await store.close();
    throw thrown;
  }
}

/** What cannot be opened is said at the start, and not first when a host needs it. Everything else works without. */
async function sayLostKeys({ secrets }: Services, log: Log): Promise<void> {
  const { keys } = await secrets.keys();
  for (const { key, versions, problem } of keys)
    if (problem !== null)
      log.error({ key, versions }, `Secrets of tenants cannot be opened, ${versions} versions: ${problem}.`);
}
