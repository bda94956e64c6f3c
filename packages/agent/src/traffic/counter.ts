import { BerthError, messageOf } from '@berth/shared/domain/errors';
import type { Site } from '@berth/shared/domain/network';
import type { TenantStatus } from '@berth/shared/domain/status';
import { noTraffic, type TrafficSample } from '@berth/shared/domain/traffic';
import type { Clock, Sleep } from '../system/clock.ts';
import { holdsFile } from '../system/nginx-processes.ts';
import type { System } from '../system/system.ts';
import { readCheckpoint, writeCheckpoint } from './checkpoint.ts';
import { requestsFolder, whyNot } from './folder.ts';
import { createLedger } from './ledger.ts';
import { addressKey, newTally, type Span, type Tally } from './lines.ts';
import { createLosses } from './losses.ts';
import { createOwners, FLUSH_MS } from './owners.ts';
import { endOfLog, readLog } from './reader.ts';
import { createWaiting } from './waiting.ts';

const READ_EVERY_MS = 1_000;
/** All that Nginx has served is in its log by then, also on a busy host. Longer than from one read to the next. */
const WRITTEN_MS = FLUSH_MS + 250;
const CHECKPOINT_EVERY_MS = 5_000;
const RELEASE_BYTES = 4 * 1024 * 1024;
const COMPLAIN_EVERY_MS = 60_000;

export interface CounterDeps {
  system: Pick<System, 'nginx' | 'routes' | 'paths'>;
  statuses(): ReadonlyMap<string, TenantStatus>;
  /** Cumulative; a later sample with the same key replaces the earlier one. */
  tell(sample: TrafficSample): void;
  clock: Clock;
  sleep: Sleep;
  /** Requests may be missing from the counts, `lost` of them at most; said at most once a minute. */
  incomplete?(message: string, lost: number): void;
  log: { warn(fields: Record<string, unknown>, message: string): void };
}

export interface TrafficCounter {
  /** Makes room for Nginx's lines, before Nginx is started. Never fails: without room nothing is counted. */
  prepare(signal: AbortSignal): Promise<void>;
  /** A tenant's status as it is from now on. */
  note(status: TenantStatus): void;
  forget(tenant: string): void;
  /** No connection leads to who served this tenant before; what is asked of it from then on is its new generation's. */
  drained(tenant: string, at: number): void;
  /**
   * Resolves when all requests that have been answered until now are told. Errors: `unavailable` where none are counted
   * or they cannot be read, `timeout` when the signal aborts.
   */
  upToNow(signal: AbortSignal): Promise<void>;
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
      owners: createOwners(deps.statuses().values(), kept?.switches ?? [], now, kept?.readAt ?? null),
      ledger: createLedger(run, kept?.samples),
      savedAt: now,
      released: 0,
      unsaved: kept === null,
      /** The Nginx that is known to write, or was told to. */
      writer: null as number | null,
      complainedAt: Number.NEGATIVE_INFINITY,
      losses: createLosses(),
      /** Those who wait for what will have been written down by then. */
      waiting: createWaiting(),
      /** Lost, and not told of yet. */
      lost: 0,
      why: 'lines could not be read',
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
    const known = await siteMap();
    const spansOf = (address: number): readonly Span[] | null => {
      const site = known.get(address);
      const served = site === undefined ? null : state.owners.servedBy(site.tenant, now);
      return typeof served === 'object' ? served : null;
    };
    const tally = newTally(spansOf);
    const fullSince = folder.fullSince();
    try {
      await readLog(folder.log, state.position, tally);
    } finally {
      // What was read counts, also when reading on was impossible.
      await attribute(state, tally, known, now, signal);
      miss(state, tally, fullSince, now);
      state.readAt = now;
    }
    for (const sample of state.ledger.due(now, state.owners.isWatched)) deps.tell(sample);
    if (state.waiting.dueIn(now) <= 0) {
      for (const sample of state.ledger.changed(now)) deps.tell(sample);
      state.waiting.served(now);
    }
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

  async function attribute(
    state: Counting,
    tally: Tally,
    known: ReadonlyMap<number, Site>,
    now: number,
    signal: AbortSignal,
  ): Promise<void> {
    if (tally.byAddress.size + tally.split.size === 0) return;
    state.unsaved = true;
    const { owners, ledger } = state;
    const targets = await system.routes.targets(signal);
    const counted = (site: Site): boolean => {
      const kind = targets.get(site.virtual)?.kind;
      if (kind === 'maintenance') owners.blur(site.tenant, now);
      // Who asks for what the one that serves does not route asks that one: its 404 is among what visitors saw of it.
      return kind === 'containers' || kind === 'unrouted';
    };
    for (const [address, traffic] of tally.byAddress) {
      const site = known.get(address);
      if (site === undefined || !counted(site)) continue;
      const served = owners.servedBy(site.tenant, now);
      if (typeof served === 'number') ledger.add(site.tenant, served, traffic, now);
    }
    for (const [address, { spans, traffic }] of tally.split) {
      const site = known.get(address);
      if (site === undefined || !counted(site)) continue;
      for (const [index, { generation }] of spans.entries()) {
        const part = traffic[index];
        if (part != null) ledger.add(site.tenant, generation, part, now);
      }
    }
  }

  /** What may be missing may be of any tenant, so all of them are told to have it missing. */
  function miss(state: Counting, tally: Tally, fullSince: number | null, now: number): void {
    const { torn, lines: counted } = tally;
    const lost = state.losses.read({ counted, torn, readBefore: state.readAt, fullSince, now });
    state.lost += lost;
    if (state.lost === 0) return;
    state.unsaved = true;
    const from = fullSince === null ? state.readAt : Math.min(state.readAt, fullSince);
    if (lost > 0)
      for (const { tenant, generation } of state.owners.servingSince(from))
        state.ledger.add(tenant, generation, { ...noTraffic(), lost }, now);
    if (fullSince !== null) state.why = 'there was no room for more lines';
    const { why, lost: total } = state;
    const message = `Some requests are not counted, ${total} at most: ${why}. A rollout does not judge the tenants of this host by their requests for now.`;
    if (complain(state, now, message)) deps.incomplete?.(message, total);
  }

  async function save(state: Counting, release: boolean, signal?: AbortSignal): Promise<void> {
    const { run, position, readAt, owners, ledger } = state;
    const checkpoint = {
      run,
      ...position,
      readAt,
      samples: ledger.all(),
      switches: owners.recent(readAt),
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

  /** Whether it was said; not more often than people want to read it. */
  function complain(state: Counting, now: number, message: string): boolean {
    if (now - state.complainedAt < COMPLAIN_EVERY_MS) return false;
    state.complainedAt = now;
    state.lost = 0;
    log.warn({ log: folder.log }, message);
    return true;
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
    drained: (tenant, at) => counting?.owners.cleared(tenant, at),
    async upToNow(signal) {
      const state = counting;
      if (state === null)
        throw new BerthError('unavailable', 'This host does not count requests; its log says why.');
      await state.waiting.until(clock.now() + WRITTEN_MS, signal);
    },
    repeat: () => counting?.ledger.repeat(),
    async run(signal) {
      const state = counting;
      if (state === null) return;
      while (!signal.aborted) {
        try {
          await tick(state, signal);
        } catch (thrown) {
          if (!signal.aborted) complain(state, clock.now(), `Requests: ${messageOf(thrown)}`);
          state.waiting.failed(clock.now(), messageOf(thrown));
        }
        const pause = Math.max(10, Math.min(READ_EVERY_MS, state.waiting.dueIn(clock.now())));
        await deps.sleep(pause, signal).catch(() => undefined);
      }
      try {
        await save(state, false);
      } catch (thrown) {
        log.warn({ err: messageOf(thrown) }, 'what was counted could not be kept');
      }
    },
  };
}
