import type { ServerAddress } from './database-address.ts';
import type { DatabaseNames } from './database-names.ts';

/** What a server says of itself, and of whom it was asked by. */
export interface ServerFacts {
  version: string;
  tls: 'encrypted' | 'plain';
  /** Connections: as many as there may be, and as there are. */
  connections: { most: number; used: number };
  /** Databases that every role may connect to. */
  open: string[];
}

/** One tenant's things on a server, as they are to be. */
export interface DatabasePlan extends DatabaseNames {
  tenant: string;
  app: string;
  /** Tells what this coordinator made from what others did; it is written into the role's comment. */
  mark: string;
  password: string;
  connections: number;
}

/** A connection to a server as its administrator. Errors of all: `unavailable`, `conflict`, with a sentence. */
export interface PostgresSession {
  facts(): Promise<ServerFacts>;
  /** Makes what is missing and puts right what is there. It may be done again after an interruption anywhere. */
  provision(plan: DatabasePlan): Promise<void>;
  /** Takes the tenant's data and its role away for good; what is not there any more is no error. */
  drop(plan: Omit<DatabasePlan, 'password' | 'connections'>): Promise<void>;
  close(): Promise<void>;
}

export interface Postgres {
  /** Errors: `unavailable` with what stands in the way; never with the address. */
  connect(server: string, address: ServerAddress): Promise<PostgresSession>;
}
