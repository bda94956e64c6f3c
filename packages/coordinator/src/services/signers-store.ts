import type { SignedSigners } from '@berth/shared/domain/signers';
import type { Connection } from './records.ts';

/** A signed statement of whose releases a pool runs, and when it was handed in. */
export interface KeptSigners extends SignedSigners {
  at: number;
}

/** A host as far as it goes by its pool's signers. */
export interface SignersHost {
  host: string;
  name: string;
  connection: Connection;
  facts: Record<string, string>;
}

export interface SignersReads {
  /** Oldest first. What is not a statement any more is left out. Inside a transaction they are held until its end. */
  poolSigners(pool: string): Promise<KeptSigners[]>;
  /** The newest statement of each pool whose newest requires signatures. */
  requiringPools(): Promise<ReadonlyMap<string, KeptSigners>>;
  signersHosts(pool: string): Promise<SignersHost[]>;
}

export interface SignersWrites {
  /**
   * `anew`: those before are dropped, so that a host that is new begins with this one. False when somebody else was quicker
   * with a statement of the same number.
   */
  addPoolSigners(statement: KeptSigners, how: 'after' | 'anew'): Promise<boolean>;
}
