import { MOST_STATEMENTS, parseStanding, type SignedSigners } from '@berth/shared/domain/signers';
import type { Hello, Signers, SignersAck } from '@berth/shared/protocol/messages';
import type { FleetStore, HelloRecord } from './fleet-store.ts';
import type { Session } from './fleet-session.ts';
import type { Log } from './fleet-types.ts';

/** Hands the signed statements of whose releases a pool runs to its hosts; which of them holds is theirs to decide. */
export interface PoolSignersDesk {
  /** What a host that says hello is to be told before anything else; null: nothing that it has not. */
  forHello(hello: Hello, record: HelloRecord): Promise<Signers | null>;
  begin(session: Session, hello: Hello, record: HelloRecord): void;
  acknowledged(session: Session, ack: SignersAck): void;
  /** Tells all connected hosts of the pool, in the background. */
  changed(pool: string): void;
}

export function createSignersDesk(deps: {
  store: Pick<FleetStore, 'poolSigners'>;
  sessions: ReadonlyMap<string, Session>;
  log: Log;
}): PoolSignersDesk {
  const { store, sessions, log } = deps;

  async function tell(pool: string): Promise<void> {
    const chain = await store.poolSigners(pool);
    for (const session of sessions.values())
      if (session.pool === pool && session.signers !== null && !session.closed)
        session.connection.tell(JSON.stringify(messageFor(pool, chain, session.signers)));
  }

  return {
    async forHello(hello, record) {
      const has = hello.facts['poolSigners'];
      if (has === undefined) return null;
      const settled = has === (record.signers ?? 'none') && hello.facts['signersRefused'] === undefined;
      if (settled) return null;
      return messageFor(record.pool, await store.poolSigners(record.pool), versionIn(has, record.pool));
    },
    begin(session, hello, record) {
      const has = hello.facts['poolSigners'];
      session.pool = record.pool;
      session.signers = has === undefined ? null : versionIn(has, record.pool);
    },
    acknowledged(session, { facts }) {
      session.signers = versionIn(facts.poolSigners, session.pool);
    },
    changed(pool) {
      tell(pool).catch((thrown: unknown) => {
        log.error(
          { pool, err: thrown },
          'Could not tell hosts whose releases they run; they hear it as they connect.',
        );
      });
    },
  };
}

/** Of another pool it has none. */
function versionIn(standing: string, pool: string): number {
  const parsed = parseStanding(standing);
  return parsed?.pool === pool ? parsed.version : 0;
}

/** What follows on the version that a host has, and the newest in any case. */
function messageFor(pool: string, kept: readonly SignedSigners[], has: number): Signers {
  const chain = kept.filter(({ signers }, index) => signers.version > has || index === kept.length - 1);
  return {
    type: 'signers',
    pool,
    chain: chain.slice(-MOST_STATEMENTS).map(({ signers, by }) => ({ signers, by })),
  };
}
