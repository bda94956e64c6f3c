import { join } from 'node:path';
import type { DesiredTenant } from '@berth/shared/domain/desired';
import { BerthError, messageOf } from '@berth/shared/domain/errors';
import type { SecretPlace, SecretRef } from '@berth/shared/domain/secret';
import type { ContainerPlan } from '@berth/shared/domain/step';
import type { Secrets as SecretsMessage, SecretsWant } from '@berth/shared/protocol/messages';
import { sealingFact, sealingText } from '@berth/shared/secrets/sealed';
import type { Clock, Log } from '../state/ports.ts';
import { realSleep, type Sleep } from '../system/clock.ts';
import { createMutex } from '../system/mutex.ts';
import { createArrivals } from './arrivals.ts';
import { openHostKey, type HostKey, type KeyWrap } from './host-key.ts';
import { createSecretMemory } from './memory.ts';
import type { Resolve } from './references.ts';
import { createSealedStore } from './sealed-store.ts';
import { createSetStore, placeOf, placesOf, SECRETS_DIR, setOf, type SecretSet } from './sets.ts';
import { createWants } from './wants.ts';

export interface SecretDeps {
  /** The agent's folder for them. */
  dir: string;
  /** Who this host is: signs its key, and names it in what is sealed. */
  identity: { host(): string | null; sign(text: string): string };
  wrap: KeyWrap | null;
  resolve: Resolve;
  clock: Clock;
  log: Log;
  sleep?: Sleep;
  /** Values of these tenants came: whoever was held up for want of them may go on. */
  onCame?(tenants: readonly string[]): void;
}

/** Everything of the host's secrets: sealed on its disk, open only in memory, for containers. */
export interface HostSecrets {
  /** Mounts the memory that open secrets lie in. Errors: `secret_unavailable`. */
  mount(signal?: AbortSignal): Promise<void>;
  /** Mounts the memory and opens every set that a container here was made with. Problems are told, one sentence each. */
  restore(signal?: AbortSignal): Promise<string[]>;
  /** Looks every now and then that all is still there. */
  run(signal: AbortSignal): Promise<void>;

  open(plans: readonly ContainerPlan[], signal: AbortSignal): Promise<void>;
  partsOf(
    plan: ContainerPlan,
    signal: AbortSignal,
  ): Promise<{
    set: string | null;
    mounts: { source: string; target: string }[];
    environment: Record<string, string>;
  }>;
  reopen(tenant: string): Promise<void>;
  tidy(tenant: string, inUse: () => Promise<readonly string[]>): Promise<void>;
  /** The tenant is gone from this host, with its last container. */
  forget(tenant: string): Promise<void>;
  /** For what must not be told. */
  valuesOf(tenant: string): Promise<{ name: string; value: Buffer }[]>;

  /** Asks for what these tenants will need before anybody waits for it. */
  prefetch(tenants: readonly DesiredTenant[]): Promise<void>;
  wants(): SecretsWant[];
  onWanting(listener: () => void): () => void;
  receive(message: SecretsMessage): Promise<void>;
  /** The host's sealing key with its signature, for the hello; null while nobody has enrolled it. */
  fact(): Promise<string | null>;
}

/** How long a step waits for the coordinator before it says that it is blocked. */
const WAIT_MS = 10_000;
const LOOK_MS = 5_000;
/** A set that was just opened may have no container yet. */
const YOUNG_MS = 3_600_000;

export function createHostSecrets(deps: SecretDeps): HostSecrets {
  const { dir, identity, log, clock } = deps;
  const sleep = deps.sleep ?? realSleep;
  let opening: Promise<HostKey> | null = null;
  /** Made when it is first needed; a failure is tried again. */
  const hostKey = (): Promise<HostKey> => {
    opening ??= openHostKey(dir, deps.wrap).catch((thrown: unknown) => {
      opening = null;
      throw thrown;
    });
    return opening;
  };
  const sealed = createSealedStore(join(dir, 'sealed'), hostKey);
  const sets = createSetStore(join(dir, 'sets'));
  const memory = createSecretMemory(join(dir, 'open'));
  const wants = createWants();
  const alone = createMutex();
  const openedAt = new Map<string, number>();
  function hostId(): string {
    const host = identity.host();
    if (host !== null) return host;
    throw new BerthError('secret_unavailable', 'This host is not enrolled yet, so it has no secrets.');
  }

  const arrivals = createArrivals({ sealed, wants, hostId, log, onCame: deps.onCame });

  async function missingOf(set: SecretSet): Promise<{ ref: SecretRef; place: SecretPlace }[]> {
    const missing = [];
    for (const ref of [...set.files, ...set.env]) {
      const place = placeOf(set, ref);
      // One that was damaged is asked for again.
      if (!(await sealed.opens(place))) missing.push({ ref, place });
    }
    return missing;
  }

  /** Has every value of a set sealed on this host's disk. */
  async function have(set: SecretSet, signal: AbortSignal): Promise<void> {
    const asked: SecretPlace[] = [];
    for (const { ref, place } of await missingOf(set)) {
      if (ref.from === undefined) asked.push(place);
      else if (!(await sealed.opens(place))) {
        const value = await deps.resolve({ tenant: set.tenant, name: ref.name, from: ref.from }, signal);
        await sealed.seal(place, hostId(), value);
      }
    }
    if (asked.length > 0) await wants.wait(asked, WAIT_MS, signal);
  }

  async function valueOf(set: SecretSet, ref: SecretRef): Promise<Buffer> {
    const value = await sealed.open(placeOf(set, ref));
    if (value !== null) return value;
    throw new BerthError(
      'secret_unavailable',
      `The secret ${ref.name} (version ${ref.version}) of tenant ${set.tenant} is not on this host; it comes when the coordinator is connected.`,
      { details: { tenant: set.tenant, secret: ref.name, version: ref.version } },
    );
  }

  /** From disk to memory. */
  const materialize = (set: SecretSet): Promise<void> =>
    alone(async () => {
      await memory.prepare();
      openedAt.set(`${set.tenant} ${set.set}`, clock.now());
      if (memory.has(set.tenant, set.set)) return;
      const values = new Map<string, Buffer>();
      for (const file of set.files) values.set(file.path, await valueOf(set, file));
      await memory.put(set, (file) => values.get(file.path) ?? Buffer.alloc(0));
    });

  async function openSet(set: SecretSet, signal: AbortSignal): Promise<void> {
    await have(set, signal);
    await sets.keep(set);
    await materialize(set);
  }

  async function reopen(tenant: string): Promise<void> {
    for (const set of await sets.of(tenant)) {
      if (memory.has(tenant, set.set)) continue;
      wants.add((await missingOf(set)).flatMap(({ ref, place }) => (ref.from === undefined ? [place] : [])));
      await materialize(set);
    }
  }

  async function restore(signal?: AbortSignal): Promise<string[]> {
    const tenants = await sets.tenants();
    if (tenants.length === 0) return [];
    const problems: string[] = [];
    const attempt = async (work: () => Promise<void>): Promise<void> => {
      try {
        await work();
      } catch (thrown) {
        problems.push(messageOf(thrown));
      }
    };
    await attempt(() => memory.prepare(signal));
    if (problems.length > 0) return problems;
    for (const tenant of tenants)
      for (const set of await sets.of(tenant)) await attempt(() => materialize(set));
    return [...new Set(problems)];
  }

  return {
    mount: (signal) => memory.prepare(signal),
    restore,
    async run(signal) {
      let said = '';
      while (!signal.aborted) {
        await sleep(LOOK_MS, signal).catch(() => undefined);
        if (signal.aborted) return;
        // Somebody unmounted it: what runs has its files still, but whatever starts anew would not.
        if (memory.isMounted() || (await sets.tenants()).length === 0) continue;
        const sentence = (await restore(signal)).join(' ');
        if (sentence !== said && sentence !== '') log.error({}, sentence);
        else if (sentence === '')
          log.warn({}, 'The memory that holds open secrets was gone; it was put back.');
        said = sentence;
      }
    },

    async open(plans, signal) {
      const wanted = new Map<string, SecretSet>();
      for (const plan of plans) {
        const set = setOf(plan);
        if (set !== null) wanted.set(set.set, set);
      }
      for (const set of wanted.values()) {
        await openSet(set, signal);
        for (const { variable, ...ref } of set.env) textFor(variable, ref.name, await valueOf(set, ref));
      }
    },
    async partsOf(plan, signal) {
      const set = setOf(plan);
      if (set === null) return { set: null, mounts: [], environment: {} };
      await openSet(set, signal);
      const path = memory.pathOf(set.tenant, set.set);
      const inDir = set.files.some((file) => file.path.startsWith('files/'));
      const environment: Record<string, string> = {};
      for (const { variable, ...ref } of set.env)
        environment[variable] = textFor(variable, ref.name, await valueOf(set, ref));
      return {
        set: set.set,
        mounts: [
          ...(inDir ? [{ source: join(path, 'files'), target: SECRETS_DIR }] : []),
          ...set.files.flatMap((file) =>
            file.path.startsWith('at/') ? [{ source: join(path, file.path), target: file.target }] : [],
          ),
        ],
        environment,
      };
    },
    reopen,
    async tidy(tenant, inUse) {
      const kept = await sets.of(tenant);
      if (kept.length === 0) return;
      const used = new Set(await inUse());
      const young = clock.now() - YOUNG_MS;
      const staying: SecretSet[] = [];
      for (const set of kept) {
        const coming = (openedAt.get(`${tenant} ${set.set}`) ?? 0) > young && arrivals.isExpected(set);
        if (used.has(set.set) || coming) {
          staying.push(set);
          continue;
        }
        await sets.remove(tenant, set.set);
        await memory.remove(tenant, set.set);
      }
      if (staying.length < kept.length)
        await sealed.retain(tenant, [...staying.flatMap(placesOf), ...arrivals.expected(tenant)]);
    },
    async forget(tenant) {
      wants.forget(tenant);
      arrivals.forget(tenant);
      await sets.forget(tenant);
      await memory.forget(tenant);
      await sealed.forget(tenant);
    },
    async valuesOf(tenant) {
      const found = new Map<string, { name: string; value: Buffer }>();
      for (const set of await sets.of(tenant))
        for (const ref of [...set.files, ...set.env]) {
          const place = placeOf(set, ref);
          const key = JSON.stringify([place.name, place.version, place.id]);
          if (found.has(key)) continue;
          const value = await sealed.open(place);
          if (value !== null) found.set(key, { name: ref.name, value });
        }
      return [...found.values()];
    },

    prefetch: (tenants) => arrivals.expect(tenants),
    wants: () => wants.messages(),
    onWanting: (listener) => wants.onWanting(listener),
    receive: (message) => arrivals.receive(message),
    async fact() {
      const host = identity.host();
      if (host === null) return null;
      const { publicKey } = await hostKey();
      return sealingFact(publicKey, identity.sign(sealingText(host, publicKey)));
    },
  };
}

/** Errors: `secret_unavailable` for bytes that no variable can hold. */
function textFor(variable: string, name: string, value: Buffer): string {
  const text = value.toString('utf8');
  if (!text.includes('\0') && Buffer.from(text, 'utf8').equals(value)) return text;
  throw new BerthError(
    'secret_unavailable',
    `The secret ${name} cannot be given as the variable ${variable}: its bytes are not text. Give it as a file, under secrets.`,
  );
}
