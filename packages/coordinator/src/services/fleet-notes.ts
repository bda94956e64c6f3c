import type { AckRecord, ConnectionNote, FleetStore } from './fleet-store.ts';
import { createTick } from './fleet-tick.ts';
import type { Clock, Log } from './fleet-types.ts';

/** While the store is away, notes beyond this are dropped, oldest first: they are told anew at the next connect. */
const MAX_NOTES = 50_000;
const PER_WRITE = 500;
/**
 * One agent's coming is noted at once. Ten thousand that come together are noted at 2,000 a second: first all of them are
 * let in again.
 */
const CONNECTIONS_MS = 250;
/** More than this many at once are not noted while still more come, unless it takes too long. */
const STORM = 64;
const QUIET_MS = 200;
const LATEST_MS = 5000;
const ACKS_MS = 100;
/** From one such write to the next while more come. */
const ACKS_SPACING_MS = 1_000;

export interface Notes {
  connection(note: ConnectionNote): void;
  acknowledged(ack: AckRecord): void;
  /** Writes what is left. */
  stop(): Promise<void>;
}

/** Who came, who went, and who has which revision: written in batches, because nobody waits for it. */
export function createNotes(options: { store: FleetStore; clock: Clock; log: Log; tickMs: number }): Notes {
  let connections: ConnectionNote[] = [];
  let acks = new Map<string, AckRecord>();

  /** Whether more agents come than a few, and still do. */
  function storming(): boolean {
    const [oldest] = connections;
    const newest = connections.at(-1);
    if (oldest === undefined || newest === undefined || connections.length <= STORM) return false;
    const now = options.clock.now();
    return now - newest.at < QUIET_MS && now - oldest.at < LATEST_MS;
  }

  async function gather(): Promise<void> {
    if (storming()) coming.request();
    else await writeConnections();
  }

  async function writeConnections(): Promise<void> {
    const chunk = connections.slice(0, PER_WRITE);
    await options.store.noteConnections(chunk);
    const done = new Set<ConnectionNote>(chunk);
    connections = connections.filter((note) => !done.has(note));
    if (connections.length > 0) coming.request();
  }

  async function writeAcks(): Promise<void> {
    const taken = acks;
    acks = new Map();
    if (taken.size === 0) return;
    try {
      await options.store.recordAcks([...taken.values()]);
    } catch (thrown) {
      acks = new Map([...taken, ...acks]);
      throw thrown;
    }
  }

  const { log, tickMs } = options;
  const coming = createTick({
    ms: tickMs,
    spacingMs: CONNECTIONS_MS,
    what: 'note which agents are connected',
    log,
    run: gather,
  });
  const taking = createTick({
    ms: Math.max(tickMs, ACKS_MS),
    spacingMs: ACKS_SPACING_MS,
    what: 'note which agents have their state',
    log,
    run: writeAcks,
  });
  return {
    connection(note) {
      connections.push(note);
      if (connections.length > MAX_NOTES + PER_WRITE) connections = connections.slice(-MAX_NOTES);
      coming.request();
    },
    acknowledged(ack) {
      acks.set(ack.host, ack);
      taking.request();
    },
    async stop() {
      await taking.stop();
      await coming.stop();
      while (connections.length > 0) {
        const before = connections.length;
        await writeConnections().catch(() => undefined);
        if (connections.length >= before) return;
      }
    },
  };
}
