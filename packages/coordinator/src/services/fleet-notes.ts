import type { AckRecord, ConnectionNote, FleetStore } from './fleet-store.ts';
import { createTick, type Tick } from './fleet-tick.ts';
import type { Log } from './fleet-types.ts';

/** While the store is away, notes beyond this are dropped, oldest first: they are told anew at the next connect. */
const MAX_NOTES = 50_000;
const PER_WRITE = 1000;
/** One agent's coming is noted at once; ten thousand that come together are a few large writes. */
const SPACING_MS = 200;

export interface Notes extends Tick {
  connection(note: ConnectionNote): void;
  acknowledged(ack: AckRecord): void;
}

/** Who came, who went, and who has which revision: written in batches, because nobody waits for it. */
export function createNotes(options: { store: FleetStore; log: Log; tickMs: number }): Notes {
  let connections: ConnectionNote[] = [];
  let acks = new Map<string, AckRecord>();

  async function run(): Promise<void> {
    while (connections.length > 0) {
      const chunk = connections.slice(0, PER_WRITE);
      await options.store.noteConnections(chunk);
      const done = new Set<ConnectionNote>(chunk);
      connections = connections.filter((note) => !done.has(note));
    }
    if (acks.size === 0) return;
    const taken = acks;
    acks = new Map();
    try {
      await options.store.recordAcks([...taken.values()]);
    } catch (thrown) {
      acks = new Map([...taken, ...acks]);
      throw thrown;
    }
  }

  const tick = createTick({
    ms: options.tickMs,
    spacingMs: SPACING_MS,
    what: 'note which agents are connected',
    log: options.log,
    run,
  });
  return {
    ...tick,
    connection(note) {
      connections.push(note);
      if (connections.length > MAX_NOTES + PER_WRITE) connections = connections.slice(-MAX_NOTES);
      tick.request();
    },
    acknowledged(ack) {
      acks.set(ack.host, ack);
      tick.request();
    },
  };
}
