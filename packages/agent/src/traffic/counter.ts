import { messageOf } from '@berth/shared/domain/errors';
import type { Site } from '@berth/shared/domain/network';
import type { TenantStatus } from '@berth/shared/domain/status';
import type { TrafficSample } from '@berth/shared/domain/traffic';
import type { Clock, Sleep } from '../system/clock.ts';
import { holdsFile } from '../system/nginx-processes.ts';
import type { System } from '../system/system.ts';
import { readCheckpoint, writeCheckpoint } from './checkpoint.ts';
import { requestsFolder, whyNot } from './folder.ts';
import { createLedger } from './ledger.ts';
import { addressKey, newTally, type Tally } from './lines.ts';
import { createOwners } from './owners.ts';
import { endOfLog, readLog } from './reader.ts';

const READ_EVERY_MS = 1_000;
const CHECKPOINT_EVERY_MS = 5_000;
const RELEASE_BYTES = 4 * 1024 * 1024;
const SWITCHES_KEPT_MS = 60_000;
const COMPLAIN_EVERY_MS = 60_000;

export interface CounterDeps {
  system: Pick<System, 'nginx' | 'routes' | 'paths'>;
  statuses(): ReadonlyMap<string, TenantStatus>;
  /** Cumulative; a later sample with the same key replaces the earlier one. */
  tell(sample: TrafficSample): void;
  clock: Clock;
  sleep: Sleep;
  log: { warn(fields: Record<string, unknown>, message: string): void };
}

export interface TrafficCounter {
  /** Makes room for Nginx's lines, before Nginx is started. Never fails: without room nothing is counted. */
  prepare(signal: AbortSignal): Promise<void>;
  /** A tenant's status as it is from now on. */
  note(status: TenantStatus): void;
  forget(tenant: string): void;
  /** Everything is told once more. */
  repeat(): void;
  /** Reads and tells until the signal aborts, after `prepare`; never rejects. */
  run(signal: AbortSignal): Promise<void>;
}

/** Counts each tenant's requests from what Nginx writes down of them. */
export function createTrafficCounter(deps: CounterDeps): TrafficCounter {
  const { system, clock, log } = deps;
  const folder = requestsFolder(system.paths.requestsDir);
  let counting: ReturnType<typeof begin> | null = null;

  function begin() {
    const now = clock.now();
    const kept = readCheckpoint(folder.checkpoint);
    // Of a log without a checkpoint nobody knows what was counted; it begins with what comes now.
    const position = kept === null ? endOfLog(folder.log) : { inode: kept.inode, offset: kept.offset };
    const run = kept?.run ?? now;
    return {
      run,
      position,
      readAt: kept?.readAt ?? now,
      owners: createOwners(deps.statuses().values(), kept?.switches ?? [], now),
      ledger: createLedger(run, kept?.samples),
      savedAt: now,
      released: 0,
      unsaved: kept === null,
      /** The Nginx that is known to write, or was told to. */
      writer: null as number | null,
      complainedAt: Number.NEGATIVE_INFINITY,
      lost: 0,
    };
  }
  type Counting = ReturnType<typeof begin>;

  let sites: readonly Site[] = [];
  let byAddress = new Map<number, Site>();
  async function siteMap(): Promise<ReadonlyMap<number, Site>> {
    const live = (await system.nginx.live())?.sites;
    if (live !== undefined && live !== sites) {
      sites = live;
      byAddress = new Map(live.map((site) => [addressKey(site.virtual), site]));
    }
    return byAddress;
  }

  async function tick(state: Counting, signal: AbortSignal): Promise<void> {
    await askForLines(state);
    const now = clock.now();
    const tally = newTally();
    try {
      if (folder.isFull())
        complain(state, now, 'There is no room for more lines: some requests are not counted.');
      await readLog(folder.log, state.position, tally);
    } finally {
      // What was read counts, also when reading on was impossible.
      await attribute(state, tally, now, signal);
      state.readAt = now;
    }
    for (const sample of state.ledger.due(now, state.owners.isWatched)) deps.tell(sample);
    const release = state.position.offset - state.released >= RELEASE_BYTES;
    const behind = state.position.offset < state.released;
    const due = state.unsaved && now - state.savedAt >= CHECKPOINT_EVERY_MS;
    if (due || release || behind) await save(state, release || behind, signal);
  }

  /** Nginx that began before there was a place to write to writes only once it has read its configuration again. */
  async function askForLines(state: Counting): Promise<void> {
    const pid = await system.nginx.alive();
    if (pid === null || pid === state.writer) return;
    if (!(await holdsFile(pid, folder.log))) system.nginx.reload(pid);
    state.writer = pid;
  }

  async function attribute(state: Counting, tally: Tally, now: number, signal: AbortSignal): Promise<void> {
    if (tally.torn > 0) {
      state.lost += tally.torn;
      complain(state, now, `${state.lost} lines could not be read: their requests were not counted.`);
    }
    if (tally.byAddress.size === 0) return;
    state.unsaved = true;
    const [known, targets] = await Promise.all([siteMap(), system.routes.targets(signal)]);
    for (const [address, traffic] of tally.byAddress) {
      const site = known.get(address);
      if (site === undefined) continue;
      const kind = targets.get(site.virtual)?.kind;
      if (kind === 'maintenance') state.owners.blur(site.tenant, now);
      if (kind !== 'containers') continue;
      const generation = state.owners.ownerOf(site.tenant, state.readAt);
      if (generation !== null) state.ledger.add(site.tenant, generation, traffic, now);
    }
  }

  async function save(state: Counting, release: boolean, signal?: AbortSignal): Promise<void> {
    const { run, position, readAt, owners, ledger } = state;
    const checkpoint = {
      run,
      ...position,
      readAt,
      samples: ledger.all(),
      switches: owners.recent(readAt - SWITCHES_KEPT_MS),
    };
    let full = false;
    try {
      writeCheckpoint(folder.checkpoint, checkpoint);
    } catch {
      full = true;
    }
    if (release || full) {
      await folder.release(position.offset, signal);
      state.released = position.offset;
    }
    // The log had taken the last page; now there is room.
    if (full) writeCheckpoint(folder.checkpoint, checkpoint);
    state.savedAt = clock.now();
    state.unsaved = false;
  }

  function complain(state: Counting, now: number, message: string): void {
    if (now - state.complainedAt < COMPLAIN_EVERY_MS) return;
    state.complainedAt = now;
    state.lost = 0;
    log.warn({ log: folder.log }, message);
  }

  return {
    async prepare(signal) {
      try {
        await folder.prepare(signal);
        counting = begin();
        if (counting.unsaved) await save(counting, false, signal);
      } catch (thrown) {
        counting = null;
        if (!signal.aborted) log.warn({}, whyNot(thrown));
      }
    },
    note(status) {
      counting?.owners.note(status, clock.now());
      // A crash from here on must not give the old colour's lines to the new one.
      if (counting !== null) Object.assign(counting, { unsaved: true, savedAt: Number.NEGATIVE_INFINITY });
    },
    forget: (tenant) => counting?.owners.forget(tenant),
    repeat: () => counting?.ledger.repeat(),
    async run(signal) {
      const state = counting;
      if (state === null) return;
      while (!signal.aborted) {
        try {
          await tick(state, signal);
        } catch (thrown) {
          if (!signal.aborted) complain(state, clock.now(), `Requests: ${messageOf(thrown)}`);
        }
        await deps.sleep(READ_EVERY_MS, signal).catch(() => undefined);
      }
      try {
        await save(state, false);
      } catch (thrown) {
        log.warn({ err: messageOf(thrown) }, 'what was counted could not be kept');
      }
    },
  };
}
