import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openStore } from '../../src/store/open.ts';
import { accessContract } from './contract-access.ts';
import { journalContract } from './contract-journal.ts';
import { recordsContract } from './contract-records.ts';
import { toldContract } from './contract-told.ts';
import { enrolmentContract } from './contract-enrolment.ts';
import { fleetContract } from './contract-fleet.ts';
import { rolloutFactsContract } from './contract-rollout-facts.ts';
import { rolloutsContract } from './contract-rollouts.ts';
import { auditContract } from './contract-audit.ts';
import { bulkContract } from './contract-bulk.ts';
import { secretsContract } from './contract-secrets.ts';
import { databasesContract } from './contract-databases.ts';
import { signersContract } from './contract-signers.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'berth-store-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});
const open = () => openStore({ kind: 'sqlite', path: join(dir, 'berth.db') });

describe('SQLite keeps the records', () => recordsContract(open));
describe('SQLite keeps the journal', () => journalContract(open));
describe('SQLite keeps who may do what', () => accessContract(open));
describe('SQLite keeps what the fleet needs', () => fleetContract(open));
describe('SQLite keeps what hosts say', () => toldContract(open));
describe('SQLite keeps who enrolled', () => enrolmentContract(open));
describe('SQLite keeps whose releases a pool runs', () => signersContract(open));
describe('SQLite keeps servers and databases of tenants', () => databasesContract(open));

describe('SQLite keeps the audit as one chain', () => auditContract(open));
describe('SQLite keeps rollouts', () => rolloutsContract(open));
describe('SQLite keeps what rollouts go by', () => rolloutFactsContract(open));
describe('SQLite keeps secrets', () => secretsContract(open));
describe('SQLite keeps many tenants at once', () => bulkContract(open));

describe('the SQLite file', () => {
  test('is opened again with all that was written', async () => {
    const first = await open();
    await first.fleet.enterObserveOnly('because', 1);
    await first.close();
    const second = await open();
    expect(await second.epoch()).toMatchObject({ mode: 'observe', reason: 'because' });
    await second.close();
  });

  test('belongs to one coordinator at a time', async () => {
    const first = await open();
    await expect(open()).rejects.toThrow(/Another coordinator already uses the database/);
    await first.close();
    await (await open()).close();
  });

  test('can be read by its owner only', async () => {
    const store = await open();
    expect(statSync(join(dir, 'berth.db')).mode & 0o777).toBe(0o600);
    expect(statSync(join(dir, 'berth.db-wal')).mode & 0o077).toBe(0);
    await store.close();
  });

  test('of a newer Berth is refused with a sentence and left as it was', async () => {
    await (await open()).close();
    const file = new Database(join(dir, 'berth.db'));
    file.prepare("insert into schema_versions (number, name) values (99, 'future')").run();
    file.close();
    await expect(open()).rejects.toThrow(/version 99.*newer Berth.*up to \d+\./);
  });

  test('in a folder that does not exist is refused with its path', async () => {
    const path = join(dir, 'nowhere', 'berth.db');
    await expect(openStore({ kind: 'sqlite', path })).rejects.toThrow(path);
  });
});
