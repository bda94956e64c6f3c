import type { SecretPlace } from '@berth/shared/domain/secret';
import type { SealedValue } from './vault.ts';

/**
 * The addresses of servers are kept among the tenants' secrets, as those of an owner that no tenant can be called like: so a
 * new key wraps them as well, and a lost one is told with them.
 */
export const SERVERS_OWNER = '@database-servers';

/** One version of a tenant's secret. Either sealed here, or a reference to where it is kept. */
export interface SecretRecord extends SecretPlace {
  content: { kind: 'sealed'; sealed: SealedValue } | { kind: 'reference'; from: string };
  createdAt: number;
  createdBy: string;
}

/** A version without what it holds. */
export interface SecretInfo extends SecretPlace {
  from: string | null;
  /** Null of a reference. */
  key: string | null;
  createdAt: number;
  createdBy: string;
}

/** What a key wraps: versions, of so many secrets of so many tenants. */
export interface KeyUse {
  key: string;
  versions: number;
  secrets: number;
  tenants: number;
}

/** Versions of a secret that one key wraps. */
export interface KeySecret {
  tenant: string;
  name: string;
  key: string;
  versions: number;
}

export interface SecretReads {
  /** All versions of a tenant's secrets, by name, the newest first. */
  secretsOf(tenant: string): Promise<SecretInfo[]>;
  secret(place: SecretPlace): Promise<SecretRecord | null>;
  /** How many versions each key wraps. */
  secretKeys(): Promise<{ key: string; versions: number }[]>;
  /** The same of some keys, in more detail, which takes longer. */
  secretKeyUses(keys: readonly string[]): Promise<KeyUse[]>;
  /** Which secrets these are, by tenant and name: of one tenant or of all, all or so many. */
  secretsUnder(
    keys: readonly string[],
    of: { tenant?: string | undefined; limit?: number | undefined },
  ): Promise<KeySecret[]>;
  /** Versions that another key wraps, in a fixed order, after this one. */
  secretsNotUnder(key: string, after: SecretPlace | null, limit: number): Promise<SecretRecord[]>;
}

export interface SecretWrites {
  insertSecret(secret: SecretRecord): Promise<void>;
  /** Only what wraps it. */
  rewrapSecret(place: SecretPlace, sealed: SealedValue): Promise<void>;
  /** All versions; how many there were. */
  deleteSecret(tenant: string, name: string): Promise<number>;
  deleteSecretVersions(tenant: string, name: string, versions: readonly number[]): Promise<void>;
}
