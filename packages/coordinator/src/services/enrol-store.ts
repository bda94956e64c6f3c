import type { AwsRule } from '@berth/shared/api/enrolment';

/** An instance of AWS and the host that it is, as it was proven when it enrolled. */
export interface InstanceRecord {
  instance: string;
  host: string;
  account: string;
  region: string;
  role: string;
  image: string;
  enrolledAt: number;
  /** Until then it may bind another key; null: it may not. */
  reenrolUntil: number | null;
}

export interface EnrolReads {
  /** Which instances may join a pool; null: none. */
  joinRule(pool: string): Promise<AwsRule | null>;
  /** Inside a transaction it is held until its end. Also of a host that was removed since. */
  instance(instance: string): Promise<InstanceRecord | null>;
  instanceOf(host: string): Promise<InstanceRecord | null>;
}

export interface EnrolWrites {
  setJoinRule(pool: string, rule: AwsRule | null, at: number): Promise<void>;
  /** False when the instance is bound already: somebody else was quicker. */
  bindInstance(record: InstanceRecord): Promise<boolean>;
  setReenrolment(instance: string, until: number | null): Promise<void>;
  setHostKey(host: string, publicKey: string): Promise<void>;
  /** False when it was spent before. What has run out by `at` is forgotten. */
  spendChallenge(hash: string, expiresAt: number, at: number): Promise<boolean>;
}

export interface EnrolmentKeys {
  /** The key that all coordinators of this store sign challenges with; `fresh` becomes it when there is none yet. */
  enrolmentKey(fresh: string): Promise<string>;
}
