import { createServer } from 'node:net';
import { z } from 'zod';
import { run } from './commands.ts';
import type { DockerApi } from './docker-api.ts';

const Routes = z.array(z.object({ dst: z.string() }));
const Networks = z.array(
  z.object({
    IPAM: z.object({ Config: z.array(z.object({ Subnet: z.string().optional() })).nullish() }),
  }),
);

/** A pair of /20 slices of 198.18.0.0/16 and 198.19.0.0/16 that nothing on this machine uses. */
export async function chooseSlices(docker: DockerApi): Promise<{ virtualCidr: string; tenantCidr: string }> {
  const routes = Routes.parse(JSON.parse(await run('ip', ['-j', '-4', 'route', 'show', 'table', 'all'])));
  const networks = Networks.parse(await docker.call('GET', '/networks'));
  const used = new Set(
    [
      ...routes.map(({ dst }) => dst),
      ...networks.flatMap(({ IPAM }) => (IPAM.Config ?? []).map(({ Subnet }) => Subnet ?? '')),
    ].flatMap((text) => {
      const match = /^198\.1[89]\.(\d+)\./.exec(text);
      return match?.[1] === undefined ? [] : [Math.floor(Number(match[1]) / 16)];
    }),
  );
  const free = Array.from({ length: 16 }, (_unused, index) => index).filter((index) => !used.has(index));
  const index = free[Math.floor(Math.random() * free.length)];
  if (index === undefined) throw new Error('All /20 slices of 198.18.0.0/16 and 198.19.0.0/16 are in use.');
  return { virtualCidr: `198.18.${index * 16}.0/20`, tenantCidr: `198.19.${index * 16}.0/20` };
}

/** The first free port from `from` on; given out only once. */
export async function freePort(from: number, taken: Set<number>): Promise<number> {
  for (let port = from; port < from + 200; port += 1) {
    if (taken.has(port)) continue;
    const free = await new Promise<boolean>((resolve) => {
      const server = createServer();
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (!free) continue;
    taken.add(port);
    return port;
  }
  throw new Error(`No port from ${from} on is free.`);
}
