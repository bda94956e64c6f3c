import { describe, expect, test } from 'vitest';
import { chooseClients, type ClientPrograms } from '../../src/backup/clients.ts';

const clientsOf = (...versions: string[]): ClientPrograms => ({
  zstd: '/usr/bin/zstd',
  postgres: versions.map((version) => ({
    version,
    major: Number.parseInt(version, 10),
    pgDump: `/pg/${version}/pg_dump`,
    pgRestore: `/pg/${version}/pg_restore`,
  })),
});
const server = (version: string): { version: string; what: string } => ({
  version,
  what: 'The server of db',
});

describe('the client for a server', () => {
  test('is the oldest that is at least as new', () => {
    const choose = (version: string): string =>
      chooseClients(clientsOf('17.2', '13.9', '15.8'), [server(version)]).version;
    expect([choose('12.1'), choose('13.99'), choose('14.0'), choose('15.9'), choose('16.1')]).toEqual([
      '13.9',
      '13.9',
      '15.8',
      '15.8',
      '17.2',
    ]);
  });

  test('is as new as the newest of all that it must read', () => {
    const both = [server('13.1'), { version: '15.1', what: 'The client that made the backup' }];
    expect(chooseClients(clientsOf('13.9', '15.8'), both).version).toBe('15.8');
    expect(() => chooseClients(clientsOf('13.9'), both)).toThrow(
      /client that made the backup is PostgreSQL 15\.1/,
    );
  });

  test('is missed with the version to install, and the ones that are there', () => {
    expect(() => chooseClients(clientsOf('13.9', '15.8'), [server('16.3')])).toThrow(
      'The server of db is PostgreSQL 16.3, and the newest client on this host is older: 13.9, 15.8; install postgresql-client-16 or a newer one.',
    );
    expect(() => chooseClients(clientsOf(), [server('16.3')])).toThrow(/this host has no PostgreSQL client/);
  });
});
