import { findClients, openStore, restoreBackup, takeBackup } from '@berth/agent/backup/backup';
import { BackupManifest } from '@berth/shared/domain/backup';
import { z } from 'zod';

/** One job of the backup bench in a process of its own, so that its memory and processor time are nobody else's. */
const Job = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('take'), urls: z.array(z.string()), folder: z.string() }),
  z.object({ kind: z.literal('restore'), url: z.string(), folder: z.string(), manifest: BackupManifest }),
]);

process.once('message', (raw) => void run(Job.parse(raw)));
process.send?.({ kind: 'ready' });

async function run(job: z.infer<typeof Job>): Promise<void> {
  const clients = await findClients();
  const store = await openStore({ kind: 'directory', path: job.folder });
  const clock = { now: () => Date.now() };
  const { signal } = new AbortController();
  const cpu = process.cpuUsage();
  const began = performance.now();
  const manifests: BackupManifest[] = [];
  if (job.kind === 'restore') {
    const target = { kind: 'url', url: job.url } as const;
    await restoreBackup({ manifest: job.manifest, store, target, clients, clock, signal });
  } else {
    for (const [at, url] of job.urls.entries()) {
      const backup = `20261120T000000Z-${at.toString(16).padStart(8, '0')}`;
      const identity = {
        backup,
        tenant: `t${at}`,
        app: 'bench',
        release: 1,
        generation: 1,
        reason: 'asked',
      } as const;
      const source = { kind: 'url', url } as const;
      manifests.push(await takeBackup({ source, store, identity, clients, clock, signal }));
    }
  }
  const ms = performance.now() - began;
  const { user, system } = process.cpuUsage(cpu);
  const peakMb = process.resourceUsage().maxRSS / 1024;
  // Of many manifests only one is asked for: the first.
  const done = {
    kind: 'done',
    ms,
    cpuSeconds: (user + system) / 1e6,
    peakMb,
    manifests: manifests.slice(0, 1),
  };
  process.send?.(done, undefined, undefined, () => process.disconnect());
}
