import { findClients, openStore, takeBackup } from '@berth/agent/backup/backup';
import { BackupStore } from '@berth/shared/domain/backup';
import { z } from 'zod';
import { clock } from './backups.ts';

/** Takes a backup and ends at a point of it as if the power had gone; `BERTH_TEST_BACKUP` says what and where. */
const Wanted = z.object({
  url: z.string(),
  store: BackupStore,
  identity: z.object({
    backup: z.string(),
    tenant: z.string(),
    app: z.string(),
    release: z.number(),
    generation: z.number(),
    reason: z.literal('asked'),
  }),
  at: z.string(),
  /** The point `dumping` is reached with every chunk, of 64 KiB at most. */
  afterChunks: z.number(),
});
const wanted = Wanted.parse(JSON.parse(process.env.BERTH_TEST_BACKUP ?? ''));
let chunks = 0;
await takeBackup({
  source: { kind: 'url', url: wanted.url },
  store: await openStore(wanted.store),
  identity: wanted.identity,
  clients: await findClients(),
  clock,
  signal: new AbortController().signal,
  reached: (point) => {
    if (point === 'dumping') chunks += 1;
    if (point === wanted.at && (point !== 'dumping' || chunks > wanted.afterChunks))
      process.kill(process.pid, 'SIGKILL');
  },
});
