import { join } from 'node:path';
import { z } from 'zod';
import { DesiredTenant, Tombstone, entryDigest, type DesiredState } from '@berth/shared/domain/desired';
import { digestOf } from '@berth/shared/domain/digest';
import { Digest, TenantName } from '@berth/shared/domain/ids';
import { unreachable } from '@berth/shared/domain/errors';
import type { Clock } from './ports.ts';
import type { Disk } from './disk.ts';
import { digestOfEntry, digestOfState } from './digests.ts';
import { readChecked, writeAtomically } from './files.ts';

export type AgentMode = 'apply' | 'observe';

/**
 * The host's desired state on disk. Each entry has a file of its own whose name holds the digest of what is in it, and
 * `head.json` says which of them count: writing the head is the commit. A one-tenant change writes one small file and
 * the head; a crash at any point leaves the state before or the state after; a damaged file costs one tenant's entry,
 * which then counts as unknown (and is left running), never as removed.
 */
export interface DesiredStore {
  current(): DesiredState;
  digest(): string;
  mode(): AgentMode;
  /** Something was lost on disk: the state is not what the last commit said. Over with the next commit. */
  damaged(): boolean;
  /** Durable when it resolves. Errors: `state_unwritable`, and everything is as before. */
  commit(next: DesiredState): Promise<void>;
  setMode(mode: AgentMode): Promise<void>;
}

const EntryFile = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('tenant'), entry: DesiredTenant }),
  z.strictObject({ kind: z.literal('tombstone'), entry: Tombstone }),
]);
type EntryFile = z.infer<typeof EntryFile>;

const Head = z.strictObject({
  epoch: z.int().min(0),
  revision: z.int().min(0),
  mode: z.enum(['apply', 'observe']),
  entries: z.record(TenantName, Digest),
});
type Head = z.infer<typeof Head>;
const HeadFile = z.strictObject({ sum: Digest, head: Head });

const ENTRY_NAME = /^([a-z0-9-]+)\.([0-9a-f]{64})\.json$/;
const WRITES_AT_ONCE = 16;

/** Opens the desired state below `directory`. */
export async function openDesired(
  directory: string,
  disk: Disk,
  clock: Clock,
): Promise<{ desired: DesiredStore; quarantined: string[] }> {
  const entriesDirectory = join(directory, 'desired');
  const headPath = join(directory, 'head.json');
  await disk.makeDirectory(entriesDirectory);
  const entryPath = (tenant: string, digest: string): string =>
    join(entriesDirectory, `${tenant}.${digest}.json`);
  const quarantined: string[] = [];

  async function readEntry(tenant: string, digest: string): Promise<EntryFile | null> {
    const path = entryPath(tenant, digest);
    const reading = await readChecked(disk, clock, path, EntryFile, ({ entry }) =>
      entry.tenant === tenant && entryDigest(entry) === digest ? null : 'content and name do not agree',
    );
    if (reading.kind === 'found') return reading.value;
    quarantined.push(path);
    return null;
  }

  const reading = await readChecked(disk, clock, headPath, HeadFile, ({ sum, head }) =>
    digestOf(head) === sum ? null : 'checksum and content do not agree',
  );
  const files = (await disk.list(entriesDirectory)).flatMap((name) => {
    const [, tenant, digest] = ENTRY_NAME.exec(name) ?? [];
    return tenant === undefined || digest === undefined ? [] : [{ tenant, digest }];
  });

  let state: DesiredState = { epoch: 0, revision: 0, tenants: {}, tombstones: {} };
  let mode: AgentMode = 'apply';
  let written = new Map<string, string>();
  let lost = false;

  if (reading.kind === 'found') {
    const { head } = reading.value;
    mode = head.mode;
    written = new Map(Object.entries(head.entries));
    const entries = await Promise.all(
      [...written].map(async ([tenant, digest]) => readEntry(tenant, digest)),
    );
    state = { epoch: head.epoch, revision: head.revision, ...sorted(entries) };
    lost = entries.includes(null);
    await clear(files.filter(({ tenant, digest }) => written.get(tenant) !== digest));
  } else {
    if (reading.kind === 'quarantined') quarantined.push(headPath);
    // Without its head nobody knows which files counted. Of each tenant the newest generation is the best guess; one
    // that has a tombstone beside it is left to the coordinator: unknown, and so left running.
    const entries = await Promise.all(files.map(({ tenant, digest }) => readEntry(tenant, digest)));
    state = { epoch: 0, revision: 0, ...newest(entries) };
    lost = reading.kind === 'quarantined' || files.length > 0;
  }

  async function clear(stale: readonly { tenant: string; digest: string }[]): Promise<void> {
    // A file that stays costs a few kilobytes and is found again at the next start.
    await Promise.allSettled(stale.map(({ tenant, digest }) => disk.remove(entryPath(tenant, digest))));
  }

  async function writeHead(next: DesiredState, nextMode: AgentMode, entries: Map<string, string>) {
    const head: Head = {
      epoch: next.epoch,
      revision: next.revision,
      mode: nextMode,
      entries: Object.fromEntries(entries),
    };
    await writeAtomically(disk, headPath, `${JSON.stringify({ sum: digestOf(head), head })}\n`);
  }

  async function commit(next: DesiredState): Promise<void> {
    const wanted = new Map<string, string>();
    const fresh: { path: string; text: string }[] = [];
    const add = (file: EntryFile): void => {
      const digest = digestOfEntry(file.entry);
      wanted.set(file.entry.tenant, digest);
      if (lost || written.get(file.entry.tenant) !== digest)
        fresh.push({ path: entryPath(file.entry.tenant, digest), text: `${JSON.stringify(file)}\n` });
    };
    for (const entry of Object.values(next.tenants)) add({ kind: 'tenant', entry });
    for (const entry of Object.values(next.tombstones)) add({ kind: 'tombstone', entry });
    for (let from = 0; from < fresh.length; from += WRITES_AT_ONCE)
      await Promise.all(
        fresh.slice(from, from + WRITES_AT_ONCE).map(({ path, text }) => disk.write(path, text)),
      );
    if (fresh.length > 0) await disk.syncDirectory(entriesDirectory);
    await writeHead(next, mode, wanted);
    const stale = [...written].flatMap(([tenant, digest]) =>
      wanted.get(tenant) === digest ? [] : [{ tenant, digest }],
    );
    state = next;
    written = wanted;
    lost = false;
    await clear(stale);
  }

  let last: Promise<unknown> = Promise.resolve();
  const inTurn = (work: () => Promise<void>): Promise<void> => {
    const turn = last.then(work);
    last = turn.catch(() => undefined);
    return turn;
  };

  const desired: DesiredStore = {
    current: () => state,
    digest: () => digestOfState(state),
    mode: () => mode,
    damaged: () => lost,
    commit: (next) => inTurn(() => commit(next)),
    setMode: (wanted) =>
      inTurn(async () => {
        if (wanted === mode) return;
        await writeHead(state, wanted, written);
        mode = wanted;
      }),
  };
  return { desired, quarantined };
}

function sorted(entries: readonly (EntryFile | null)[]): Pick<DesiredState, 'tenants' | 'tombstones'> {
  const tenants: DesiredState['tenants'] = {};
  const tombstones: DesiredState['tombstones'] = {};
  for (const file of entries) {
    if (file === null) continue;
    switch (file.kind) {
      case 'tenant':
        tenants[file.entry.tenant] = file.entry;
        break;
      case 'tombstone':
        tombstones[file.entry.tenant] = file.entry;
        break;
      default:
        unreachable(file);
    }
  }
  return { tenants, tombstones };
}

function newest(entries: readonly (EntryFile | null)[]): Pick<DesiredState, 'tenants' | 'tombstones'> {
  const buried = new Set(entries.flatMap((file) => (file?.kind === 'tombstone' ? [file.entry.tenant] : [])));
  const kept = entries
    .filter((file) => file?.kind === 'tenant' && !buried.has(file.entry.tenant))
    .sort((a, b) => (a?.entry.generation ?? 0) - (b?.entry.generation ?? 0));
  return { tenants: sorted(kept).tenants, tombstones: {} };
}
