import type { Readable, Writable } from 'node:stream';
import { unreachable } from '@berth/shared/domain/errors';
import { connectionOf, placeOf } from './connection.ts';

/** A program inside a container of the tenant. */
export interface RemoteProgram {
  stdin: Writable;
  stdout: Readable;
  /** Its exit code and the last of what it said on standard error. Rejects when the container or Docker is gone. */
  ended: Promise<{ code: number; stderr: string }>;
  /** Ends it as well as can be: its pipes are cut. */
  stop(): void;
}

/** Runs programs of the container that a database runs in. Whoever knows Docker implements it. */
export interface RemotePrograms {
  /** For sentences: `service db of tenant acme`. */
  readonly where: string;
  /** An argument array, found on the container's own PATH. Errors: `docker_unavailable`, `not_found`. */
  start(
    argv: readonly [string, ...string[]],
    options: { env: Readonly<Record<string, string>>; signal: AbortSignal },
  ): Promise<RemoteProgram>;
}

/** A database that is dumped or restored into. `schema`: only this one of it. */
export type DatabaseAddress =
  | { kind: 'url'; url: string; schema?: string }
  | {
      kind: 'exec';
      programs: RemotePrograms;
      user: string;
      database: string;
      /** Where the container asks for one even on its own socket. */
      password?: string;
      schema?: string;
    };

export const schemaOf = (address: DatabaseAddress): string | null => address.schema ?? null;

export function whereOf(address: DatabaseAddress): string {
  switch (address.kind) {
    case 'url':
      return placeOf(connectionOf(address.url));
    case 'exec':
      return `database ${JSON.stringify(address.database)} in ${address.programs.where}`;
    default:
      return unreachable(address);
  }
}

/** The environment of client programs inside a container: its own socket, the tenant's user. */
export function remoteEnvironment(
  address: Extract<DatabaseAddress, { kind: 'exec' }>,
): Readonly<Record<string, string>> {
  return {
    PGUSER: address.user,
    PGCONNECT_TIMEOUT: '15',
    PGAPPNAME: 'berth backup',
    LC_ALL: 'C',
    ...(address.password === undefined ? {} : { PGPASSWORD: address.password }),
  };
}
